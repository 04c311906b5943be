"""A load test of examples/redis_feed.py, by real sockets: does every client get every event?

    pip install sse redis "gunicorn[gevent]" uvicorn psutil requests     (and redis-server)
    python benchmarks/load --clients 1000 --rate 20 --seconds 30 --drop 10
    python benchmarks/load --kind uvicorn --workers 2
    python benchmarks/load --kill-worker --kill-redis --move
    python benchmarks/load --peer --plot latency.png (and flask-sse, matplotlib)
    python benchmarks/load --url http://127.0.0.1:8000

Starts redis-server and the servers on free ports of loopback, or loads the feed at --url. All
clients watch one channel. Some are dropped on the way, and reconnect with Last-Event-ID as
browsers do; so do those of a killed worker. Each checks that it gets every event, once and in
order. Latency is from before the request that publishes to the arrival at a client, of the
events that were published while it was connected. Linux, Python 3.8 or later.
"""

import argparse
import asyncio
import contextlib
import os
import resource
import sys

from servers import FEED, PEER, Servers
from test import Test


def within(least, most):
    def number(text):
        if not least <= int(text) <= most:
            raise argparse.ArgumentTypeError("not within %d to %d" % (least, most))
        return int(text)
    return number


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, default, most, about in (
            ("clients", 100, 20000, "how many"), ("rate", 20, 1000, "events a second"),
            ("seconds", 10, 600, "how long"), ("workers", 4, 64, "of the server"),
            ("drop", 10, 100, "per cent of the clients, once each")):
        parser.add_argument("--" + name, type=within(name != "drop", most), default=default,
                            metavar="N", help="%s, up to %d; %d" % (about, most, default))
    parser.add_argument("--kind", default="gevent", choices=["gevent", "gthread", "uvicorn"],
                        help="of server; uvicorn is for this feed, the others have gevent")
    parser.add_argument("--kill-worker", action="store_true")
    parser.add_argument("--kill-redis", action="store_true")
    parser.add_argument("--move", action="store_true", help="each worker is a server of its own, "
                        "and a client that reconnects goes to the next")
    parser.add_argument("--peer", action="store_true", help="then the same with flask-sse")
    parser.add_argument("--before", metavar="DIR", help="first the same with another checkout's")
    parser.add_argument("--url", help="of a feed that runs already")
    parser.add_argument("--plot", metavar="FILE")
    options = parser.parse_args()
    if options.url and (options.peer or options.before or options.kill_worker
                        or options.kill_redis or options.move):
        parser.error("--url goes without --peer, --before, --kill and --move")
    # Children inherit it.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    feeds = {"feed": FEED}
    if options.before:
        before = os.path.join(os.path.abspath(options.before), "examples")
        feeds = {"before": (before,) + FEED[1:], "feed": FEED}
    if options.peer:
        feeds["flask-sse"] = PEER
    tests, bad = {}, 0
    for name, feed in feeds.items():
        with contextlib.ExitStack() as stack:
            servers = Servers(options, feed, stack)
            test = tests[name] = Test(options, feed[2], servers)
            rows = asyncio.run(test.run())
        print("%s: %d clients, %d events a second for %d seconds" % (
            name, options.clients, options.rate, options.seconds))
        for row in rows:
            print("  %-24s%s" % row)
        sys.stdout.flush()
        if feed is FEED:
            bad = any(value != "0" for name, value in rows if name in (
                "lost", "doubled", "told of a gap", "out of order, other id"))
    if options.plot:
        from plot import plot
        plot(options.plot, tests)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
