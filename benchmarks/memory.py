# -*- coding: utf-8 -*-
"""Peak memory from the call to the bytes, beyond the input, and that of an idle `Sse`.

By `tracemalloc` where there is one. Elsewhere by the peak of a process for each figure, which
counts what the allocator holds back, too.
"""

from __future__ import division, print_function, unicode_literals

import argparse
import gc
import json
import subprocess
import sys

import six

from common import add_arguments, interpreter, peers, report

try:
    import tracemalloc
except ImportError:
    tracemalloc = None
    try:
        import resource
    except ImportError:
        resource = None

CASES = ["10 MB in lines", "1 MB of newlines"]
IDLE = ["idle, with its retry block", "idle, without"]
STREAMS = ["idle, with a stream", "idle, with an astream"]
CHANNEL = ["of a channel", "of a channel, 3 topics", "the same, when all left"]


def text_of(case, quick):
    if case == CASES[0]:
        return "\n".join(["x" * 80] * (12900 if quick else 129000))
    return "\n" * (100 * 1000 if quick else 1000 * 1000)


class Peak(object):
    """`bytes` is what was taken beyond what there was at the start, at the most."""

    bytes = None

    def __enter__(self):
        if tracemalloc:
            tracemalloc.start()
        else:
            self.before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return self

    def __exit__(self, *error):
        if tracemalloc:
            if self.bytes is None:
                self.bytes = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        else:
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            # In kilobytes, but on macOS.
            self.bytes = (after - self.before) * (1 if sys.platform == "darwin" else 1024)


def message(peer, case, quick):
    text = text_of(case, quick)
    with Peak() as peak:
        encoded = peer.encode("e", text)
    return {"case": case, "peer": peer.name, "input": len(text), "output": len(encoded),
            "peak": peak.bytes}


def idle(peer, case, quick):
    kind = sys.modules["sse"].Sse if peer.name == "sse" else peer.module.Sse
    count = 1000 if quick else 20000
    if case == IDLE[0]:
        def make():
            return kind()
    elif peer.name == "sse":
        def make():
            return kind(default_retry=None)
    else:
        def make():
            made = kind()
            made.flush()
            return made
    make()
    kept = [None] * count
    with Peak() as peak:
        for i in range(count):
            kept[i] = make()
    return {"case": case, "peer": peer.name, "each": peak.bytes / count}


def begun():
    """A stream that has given its first chunk, and waits."""
    stream = sys.modules["sse"].Sse().stream()
    next(stream)
    return stream


def begin_many(case, count):
    """The bytes of so many streams, asynchronous ones with the tasks that wait for them."""
    if case == STREAMS[0]:
        with Peak() as peak:
            kept = [begun() for _ in range(count)]
        for stream in kept:
            stream.close()
        return peak.bytes
    import asyncio
    loop = asyncio.new_event_loop()
    with Peak() as peak:
        tasks = []
        for _ in range(count):
            stream = sys.modules["sse"].Sse().astream()
            loop.run_until_complete(asyncio.wait_for(stream.__anext__(), None))
            tasks.append(asyncio.ensure_future(
                asyncio.wait_for(stream.__anext__(), None), loop=loop))
        loop.call_soon(loop.stop)
        loop.run_forever()
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.wait(tasks))
    loop.close()
    return peak.bytes


def streams(peer, case, quick):
    count = 100 if quick else 2000
    return {"case": case, "peer": peer.name, "each": begin_many(case, count) / count}


def of_a_channel(peer, case, quick):
    """Each has two topics of its own, and one that all share."""
    count = 100 if quick else 10000
    channel = sys.modules["sse"].Channel()
    topics = [() if case == CHANNEL[0] else ("all", "user:%d" % number, "room:%d" % number)
              for number in range(count)]
    kept = [None] * count
    with Peak() as peak:
        for number in range(count):
            kept[number] = channel.open(topics=topics[number])
        if case == CHANNEL[2]:
            del kept[:]
            gc.collect()
            peak.bytes = tracemalloc.get_traced_memory()[0] if tracemalloc else None
    return {"case": case, "peer": peer.name, "each": peak.bytes / count}


def measure(peer, case, quick):
    if case in CHANNEL:
        return of_a_channel(peer, case, quick)
    if case in STREAMS:
        return streams(peer, case, quick)
    return (idle if case in IDLE else message)(peer, case, quick)


def in_a_process(peer, case, arguments):
    """`measure` in a process of its own, whose peak has nothing else in it."""
    command = [sys.executable, __file__, "--one", peer.name, case]
    if arguments.old:
        command += ["--old", arguments.old]
    if arguments.quick:
        command += ["--quick"]
    return json.loads(subprocess.check_output(command).decode("utf-8"))


def show(result):
    print("# %s; by %s" % (result["interpreter"], result["by"]))
    for name, why in result["missing"]:
        print("# missing: %s (%s)" % (name, why))
    rule = "  ".join("=" * width for width in (26, 8, 12, 9, 9))
    form = "%-26s  %-8s  %12s  %9s  %9s"
    print("\n" + rule)
    print(form % ("beyond the input", "", "peak, bytes", "by input", "by output"))
    print(rule)
    for row in result["rows"]:
        if "each" in row:
            print(form % (row["case"], row["peer"], "%d" % row["each"], "-", "-"))
        else:
            print(form % (row["case"], row["peer"], row["peak"],
                          "%.2f" % (row["peak"] / row["input"]),
                          "%.2f" % (row["peak"] / row["output"])))
    print(rule)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_arguments(parser)
    parser.add_argument("--one", nargs=2, metavar=("PEER", "CASE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    found, missing = peers.load(arguments.old, [peers.Old])
    if arguments.one:
        name, case = arguments.one
        for peer in found:
            if peer.name == name:
                print(json.dumps(measure(peer, case, arguments.quick)))
        return
    if not tracemalloc and not resource:
        print("memory: not available here")
        return
    rows = []
    for case in CASES + IDLE + STREAMS + CHANNEL:
        if case == STREAMS[1] and six.PY2 or case == CHANNEL[2] and not tracemalloc:
            continue
        # 1.2 has no streams.
        for peer in found[:1] if case in STREAMS + CHANNEL else found[:-1]:
            if tracemalloc:
                rows.append(measure(peer, case, arguments.quick))
            else:
                rows.append(in_a_process(peer, case, arguments))
    result = {
        "interpreter": interpreter(),
        "by": "tracemalloc" if tracemalloc else "the peak of a process",
        "missing": missing,
        "rows": rows,
    }
    report(result, arguments, show)


if __name__ == "__main__":
    main()
