# -*- coding: utf-8 -*-
"""Nanoseconds for an add and take beside a stream and the like, and for one event to many streams.

Each is the minimum of many rounds, all in turn, and its ratio to the first of its table.
"""

from __future__ import division, print_function, unicode_literals

import argparse
import timeit

from common import add_arguments, interpreter, report

from sse import Channel, Sse

ARTICLE = {"items": ["value %02d of this and that" % i for i in range(36)]}     # 1 KB of JSON


def add_and_take(sse):
    sse.flush()

    def call():
        sse.add_message("greeting", "hello")
        sse.data_to_send()
    return call


def fresh():
    return add_and_take(Sse())


def after_a_pending_id():
    sse = Sse()
    sse.set_event_id(7)
    sse.add_message("greeting", "hello")
    return add_and_take(sse)


def beside_a_stream():
    sse = Sse()
    call = add_and_take(sse)
    call.stream = sse.stream()
    next(call.stream)
    return call


def with_a_bound():
    return add_and_take(Sse(max_pending=1048576))


def by_a_channel(count):
    channel = Channel(max_pending=None)
    streams = [channel.open() for _ in range(count)]

    def call():
        channel.add_json("article", ARTICLE)
        for sse in streams:
            sse._buffer.clear()
    return call


def by_adds(count):
    streams = [Sse() for _ in range(count)]

    def call():
        for sse in streams:
            sse.add_json("article", ARTICLE)
        for sse in streams:
            sse._buffer.clear()
    return call


def to_one_of(count):
    """To the one listener of a topic, among so many streams of other topics."""
    channel = Channel(history=10, default_retry=None)
    streams = [channel.open(topics=["user:%d" % number, "room:%d" % (number % 10)])
               for number in range(count)]
    streams[0].flush()

    def call():
        channel.to("user:0").add_message("note", "hello")
        streams[0]._buffer.clear()
    call.streams = streams
    return call


def measure(calls, rounds, number):
    """The minimum of each in nanoseconds, and its ratio to the first."""
    found = [(name, timeit.Timer(call), []) for name, call in calls]
    for _ in range(rounds):
        for _, timer, times in found:
            times.append(timer.timeit(number) / number * 1e9)
    first = min(found[0][2])
    return [{"name": name, "minimum": min(times), "ratio": min(times) / first}
            for name, _, times in found]


def show(result):
    print("# " + result["interpreter"])
    for title, rows in result["tables"]:
        print("\n%-32s  %12s  %9s" % (title, "nanoseconds", "ratio"))
        for row in rows:
            print("%-32s  %12.0f  %9.2f" % (row["name"], row["minimum"], row["ratio"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_arguments(parser)
    arguments = parser.parse_args()
    rounds, count = (5, 50) if arguments.quick else (200, 1000)
    report({
        "interpreter": interpreter(),
        "tables": [
            ("5 characters, add and take", measure([
                ("fresh", fresh()), ("after a pending id", after_a_pending_id()),
                ("beside a stream", beside_a_stream()), ("with a bound", with_a_bound()),
            ], rounds, count)),
            ("to one listener among streams", measure([
                ("10 streams", to_one_of(10)), ("10,000 streams", to_one_of(10000)),
            ], rounds, count)),
            ("1 KB of JSON to %d streams" % count, measure([
                ("by a Channel", by_a_channel(count)), ("by an add for each", by_adds(count)),
            ], max(rounds // 20, 3), 1)),
        ],
    }, arguments, show)


if __name__ == "__main__":
    main()
