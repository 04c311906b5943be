"""A load test of channels behind one log, by real sockets: does every client get every event?

    pip install . redis "gunicorn[gevent]" uvicorn psutil requests       (and redis-server)
    python benchmarks/load --clients 1000 --rate 20 --seconds 30 --drop 10
    python benchmarks/load --store redis --kill-worker --kill-redis --move
    python benchmarks/load --users 10000 --clients 2000 --rate 200
    python benchmarks/load --kind uvicorn --workers 2
    python benchmarks/load --peer --plot latency.png    (and flask-sse, matplotlib)

Starts servers with `feed.py` on free ports of loopback, on an SQLite file or on a Redis. All
clients get every event; with --users each listens to a topic of its own, and an event is for one
user drawn at random. Some clients are dropped on the way, and reconnect with Last-Event-ID as
browsers do; so do those of a killed worker. Each checks that it gets its events, once and in
order. Latency is from before the request that publishes to the arrival at a client, of the events
that were published while it was connected. Linux, Python 3.9 or later.
"""

import argparse
import asyncio
import contextlib
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
            ("users", 0, 1000000, "with a topic each; 0: events are for all"),
            ("drop", 10, 100, "per cent of the clients, once each")):
        parser.add_argument("--" + name, type=within(name not in ("drop", "users"), most),
                            default=default,
                            metavar="N", help="%s, up to %d; %d" % (about, most, default))
    parser.add_argument("--store", default="sqlite", choices=["sqlite", "redis"])
    parser.add_argument("--kind", default="gevent", choices=["gevent", "gthread", "uvicorn"],
                        help="of server; uvicorn is for this feed, the others have gevent")
    parser.add_argument("--kill-worker", action="store_true")
    parser.add_argument("--kill-redis", action="store_true")
    parser.add_argument("--move", action="store_true", help="each worker is a server of its own, "
                        "and a client that reconnects goes to the next")
    parser.add_argument("--peer", action="store_true", help="then the same with flask-sse")
    parser.add_argument("--plot", metavar="FILE")
    options = parser.parse_args()
    if options.kill_redis and options.store != "redis":
        parser.error("--kill-redis needs --store redis")
    if options.users and (options.peer or options.users < options.clients):
        parser.error("--users goes without --peer, and is at least --clients")
    # Children inherit it.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    feeds = {"sse": FEED}
    if options.peer:
        feeds["flask-sse"] = PEER
    tests, bad = {}, 0
    for name, feed in feeds.items():
        with contextlib.ExitStack() as stack:
            servers = Servers(options, feed, stack)
            test = tests[name] = Test(options, servers)
            rows = asyncio.run(test.run())
        print("%s%s: %d clients, %d events a second for %d seconds" % (
            name, " on " + options.store if feed == FEED else "",
            options.clients, options.rate, options.seconds))
        for row in rows:
            print("  %-24s%s" % row)
        sys.stdout.flush()
        if feed == FEED:
            bad = any(value != "0" for name, value in rows if name in (
                "lost", "doubled", "told of a gap", "out of order, other id", "foreign"))
    if options.plot:
        from plot import plot
        plot(options.plot, tests)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
