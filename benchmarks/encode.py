# -*- coding: utf-8 -*-
"""Microseconds from the call to the bytes, for `sse` and its peers in turn.

A peer whose bytes do not decode to what was given is named, and left out of the ratio, which
is the minimum of the fastest peer that is right by ours: above 1, `sse` is ahead.
"""

from __future__ import division, print_function, unicode_literals

import argparse
import functools
import json
import timeit

from common import add_arguments, interpreter, peers, report
from spec_decoder import decode

EVENT = "e"
LINE = "x" * 70
MB_LINES = 1000 * 1000 // 81

# Name, method of the peer, its arguments after the event, and the data that must arrive.
ARTICLE = '{"items":["%s"]}' % '","'.join(["value %02d of this and that" % i for i in range(36)])
LINES = "\n".join([LINE] * 100)
SMALL = {"id": 17, "name": "sensor", "value": 21.5, "ok": True}

WORKLOADS = [
    ("5 characters", "encode", ("hello",), "hello"),
    ("1 KB of JSON", "encode", (ARTICLE,), ARTICLE),
    ("10 lines", "encode", ("\n".join([LINE] * 10),), "\n".join([LINE] * 10)),
    ("100 lines", "encode", (LINES,), LINES),
    ("100 CRLF lines", "encode", ("\r\n".join([LINE] * 100),), LINES),
    ("1000 CJK characters", "encode", ("\u4e2d" * 1000,), "\u4e2d" * 1000),
    ("10 MB in lines", "encode", ("\n".join(["x" * 80] * 129000),), "\n".join(["x" * 80] * 129000)),
    ("list of 100 lines", "encode_list", ([LINE] * 100,), LINES),
    ("small dict as JSON", "encode_json", (SMALL,), SMALL),
    ("1,000 events at once", "encode_many", ("hello", 1000), "hello"),
]

# Ten times the lines is one step.
LINEAR = [
    ("lines", lambda count: "\n".join(["x" * 80] * count), MB_LINES),
    ("CRLF lines", lambda count: "\r\n".join(["x" * 79] * count), MB_LINES),
    ("empty lines", lambda count: "\n" * count, 1000 * 1000),
]


def is_right(encoded, method, arguments, expected):
    """Whether a client gets what was given."""
    events = [(event.type, event.data) for event in decode(encoded).events]
    if method == "encode_json":
        events = [(event, json.loads(data)) for event, data in events]
    return events == [(EVENT, expected)] * (arguments[1] if method == "encode_many" else 1)


def check(peer, call, method, arguments, expected):
    """None, or what is wrong."""
    try:
        encoded = peer.inside(call)
    except Exception as error:
        return "%s: %s" % (type(error).__name__, error)
    return None if is_right(encoded, method, arguments, expected) else "not what was given"


def count_for(peer, timer, seconds):
    """How many calls take about `seconds`."""
    count = 1
    while True:
        took = peer.inside(functools.partial(timer.timeit, count))
        if took >= seconds / 4:
            return max(1, int(count * seconds / took))
        count *= 4


def measure(entrants, rounds, seconds):
    """The microseconds of each (peer, call) in each round, all in turn."""
    timers = [(peer, timeit.Timer(call)) for peer, call in entrants]
    counts = [count_for(peer, timer, seconds) for peer, timer in timers]
    times = [[] for _ in timers]
    for _ in range(rounds):
        for (peer, timer), count, found in zip(timers, counts, times):
            found.append(peer.inside(functools.partial(timer.timeit, count)) / count * 1e6)
    return [sorted(found) for found in times]


def compare(found, name, method, arguments, expected, rounds, seconds):
    """The table of one workload."""
    entrants, wrong = [], []
    for peer in found:
        call = functools.partial(getattr(peer, method), EVENT, *arguments)
        problem = None if peer.name == "limit" else check(
            peer, call, method, arguments, expected)
        if problem:
            wrong.append((peer.name, problem))
        else:
            entrants.append((peer, call))
    if entrants[0][0] is not found[0]:
        raise SystemExit("sse is wrong with %s: %s" % (name, wrong[0][1]))
    rows = [{"name": peer.name, "minimum": times[0], "median": times[len(times) // 2]}
            for (peer, _), times in zip(entrants, measure(entrants, rounds, seconds))]
    ours = rows[0]["minimum"]
    for row in rows:
        row["ratio"] = row["minimum"] / ours
    ranked = sorted(rows[1:-1], key=lambda row: row["minimum"])
    return {
        "workload": name, "rows": rows, "wrong": wrong,
        "fastest": ranked[0]["name"] if ranked else None,
        "ratio": ranked[0]["ratio"] if ranked else None,
        "old": {row["name"]: row["ratio"] for row in rows}.get(peers.OLD),
    }


def linearity(ours, rounds, seconds):
    """What ten times the lines cost, up to 1 MB."""
    # After a bigger one, malloc keeps its pages; else page faults are most of what is timed.
    ours.encode(EVENT, "x" * 20000000)
    steps = []
    for name, make, most in LINEAR:
        counts = [most // 1000, most // 100, most // 10, most]
        times = measure([(ours, functools.partial(ours.encode, EVENT, make(count)))
                         for count in counts], rounds, seconds)
        for i in (1, 2, 3):
            steps.append({"name": name, "lines": counts[i], "minimum": times[i][0],
                          "ratio": times[i][0] / times[i - 1][0]})
    return steps


def number(value):
    return "-" if value is None else "%.2f" % value


def show(result):
    print("# " + result["interpreter"])
    for name, version in result["versions"]:
        print("# %s %s" % (name, version))
    for name, why in result["missing"]:
        print("# missing: %s (%s)" % (name, why))
    for table in result["tables"]:
        print("\n# %s\n# minimum     median  by ours" % table["workload"])
        for row in table["rows"]:
            print("%9.2f  %9.2f  %7.2f  %s"
                  % (row["minimum"], row["median"], row["ratio"], row["name"]))
        for name, problem in table["wrong"]:
            print("# wrong: %s (%s)" % (name, problem))
    print("\n# ten times the lines\n# lines    minimum  by the tenth")
    for step in result["linearity"]:
        print("%7d  %9.2f  %12.2f  %s"
              % (step["lines"], step["minimum"], step["ratio"], step["name"]))
    rule = "  ".join("=" * width for width in (20, 9, 9, 18, 9, 9))
    form = "%-20s  %9s  %9s  %-18s  %9s  %9s"
    print("\nMicroseconds, minimum and median; above 1, sse is ahead.\n\n" + rule)
    print(form % ("", "minimum", "median", "fastest peer", "by ours", "1.2"))
    print(rule)
    for table in result["tables"]:
        ours = table["rows"][0]
        print(form % (table["workload"], number(ours["minimum"]), number(ours["median"]),
                      table["fastest"] or "-", number(table["ratio"]), number(table["old"])))
    print(rule)


def plot(result, path):
    from matplotlib.figure import Figure
    tables = result["tables"]
    figure = Figure(figsize=(10, 2.2 * len(tables)), layout="constrained")
    for axes, table in zip(figure.subplots(len(tables)), tables):
        rows = table["rows"][::-1]
        axes.barh([row["name"] for row in rows], [row["minimum"] for row in rows],
                  color=["tab:orange" if row["name"] == "sse" else "tab:gray" for row in rows])
        axes.set_title("%s: microseconds, minimum" % table["workload"])
    figure.suptitle(result["interpreter"])
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_arguments(parser)
    parser.add_argument("--plot", metavar="FILE", help="a picture; needs matplotlib")
    arguments = parser.parse_args()
    rounds, seconds = (3, 0.0005) if arguments.quick else (40, 0.004)
    found, missing = peers.load(arguments.old)
    tables = [compare(found, *workload, rounds=rounds, seconds=seconds)
              for workload in WORKLOADS]
    result = {
        "interpreter": interpreter(),
        "versions": [(peer.name, peer.version) for peer in found if peer.version],
        "missing": missing,
        "tables": tables,
        "linearity": linearity(found[0], rounds, seconds),
    }
    report(result, arguments, show)
    if arguments.plot:
        plot(result, arguments.plot)


if __name__ == "__main__":
    main()
