"""A burst of events to many streams in one event loop: how long the loop does nothing else.

    python benchmarks/burst.py

Seconds until each stream has all, and the longest time in which a timer of 1 ms was not run. There
is no server: its writing comes on top. Least of --rounds.
"""

import argparse
import asyncio
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from sse import Channel     # noqa: E402

VALUE = {"name": "sensor", "value": 21.5, "text": "x" * 60}


async def at_once(channel, count):
    for _ in range(count):
        channel.add_json("news", VALUE)


async def in_a_thread(channel, count):
    await asyncio.to_thread(lambda: [channel.add_json("news", VALUE) for _ in range(count)])


async def spread(channel, count):
    for _ in range(count):
        channel.add_json("news", VALUE)
        await asyncio.sleep(0)


async def as_one(channel, count):
    channel.add_json("news", [VALUE] * count)


async def measure(publish, clients, count):
    channel, ready, late = Channel(history=1000, default_retry=None), asyncio.Event(), 0
    size = len(str(VALUE)) * count // 2

    async def read():
        got = 0
        async for chunk in channel.open().astream():
            got += len(chunk)
            if got > size:
                readers.discard(asyncio.current_task())
                if not readers:
                    ready.set()

    async def watch():
        nonlocal late
        while True:
            start = time.perf_counter()
            await asyncio.sleep(0.001)
            late = max(late, time.perf_counter() - start - 0.001)

    readers = {asyncio.create_task(read()) for _ in range(clients)}
    tasks = list(readers)
    while len(channel.streams) < clients:
        await asyncio.sleep(0.1)
    watcher = asyncio.create_task(watch())
    await asyncio.sleep(0.1)
    late, start = 0, time.perf_counter()
    await publish(channel, count)
    await ready.wait()
    took = time.perf_counter() - start
    await asyncio.sleep(0.01)       # the watcher
    watcher.cancel()
    channel.close()
    await asyncio.gather(*tasks)
    return took, late


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, default in ("clients", 10000), ("events", 100), ("rounds", 3):
        parser.add_argument("--" + name, type=int, default=default)
    options = parser.parse_args()
    for publish in at_once, spread, in_a_thread, as_one:
        took, late = min(asyncio.run(measure(publish, options.clients, options.events))
                         for _ in range(options.rounds))
        print("%-12s %6.2f s %6.2f s" % (publish.__name__, took, late))


if __name__ == "__main__":
    main()
