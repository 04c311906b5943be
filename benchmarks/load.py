"""A load test of examples/redis_feed.py, by real sockets: does every client get every event?

    pip install sse redis "gunicorn[gevent]" psutil     (and redis-server)
    python benchmarks/load.py --clients 1000 --rate 20 --seconds 30 --drop 10
    python benchmarks/load.py --kill-worker --kill-redis
    python benchmarks/load.py --peer --plot latency.png (and flask-sse, matplotlib)
    python benchmarks/load.py --url http://127.0.0.1:8000

Starts redis-server and gunicorn on free ports of loopback, or loads the feed at --url. All
clients watch one channel. Some are dropped on the way, and come back with Last-Event-ID as
browsers do; so do those of a killed worker. Each checks that it gets every event, once and in
order. Latency is from before the request that publishes to the arrival at a client, of the
events that were published while it was connected. Linux, Python 3.8 or later.
"""

import argparse
import asyncio
import contextlib
import glob
import http.client
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from array import array

import psutil

HERE = os.path.dirname(os.path.abspath(__file__))
FEED = ("feed", os.path.join(HERE, "..", "examples"), "redis_feed:application", "/events/load")
PEER = ("flask-sse", HERE, "flask_sse_peer:app", "/events?channel=load")
COME_BACK = 0.5, 2      # seconds, from and to

# A worker takes its application in after it has begun to listen.
SETTINGS = """
def post_worker_init(worker):
    open(__file__.replace("gunicorn.conf.py", "ready-%d" % worker.pid), "w").close()
"""


class Client(asyncio.Protocol):
    """A client that comes back, and counts what it gets by the number in the data."""

    def __init__(self, test):
        self.test = test
        self.counts = array("B", bytes(test.most))
        self.highest = -1
        self.last_event_id = b""
        self.came_back = self.disordered = 0
        self.transport = None

    async def connect(self):
        while not self.test.ended:
            try:
                await asyncio.get_running_loop().create_connection(lambda: self, *self.test.address)
                return
            except OSError:
                await asyncio.sleep(random.uniform(*COME_BACK))

    def connection_made(self, transport):
        self.transport = transport
        self.since = None
        self.buffer = b""
        last = b"Last-Event-ID: %s\r\n" % self.last_event_id if self.last_event_id else b""
        # HTTP/1.0: then the body comes without chunks.
        transport.write(b"GET %s HTTP/1.0\r\nHost: load\r\n%s\r\n" % (self.test.path, last))

    def data_received(self, received):
        now = time.perf_counter()
        self.buffer += received
        if self.since is None:
            head, end, rest = self.buffer.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 200 " not in head[:13]:
                self.transport.abort()
                return
            self.since, self.buffer = now, rest
        *blocks, self.buffer = self.buffer.split(b"\n\n")
        for block in blocks:
            self.block(block, now)

    def block(self, block, now):
        event_id = data = None
        for line in block.split(b"\n"):
            if line.startswith(b"id:"):
                event_id = line[3:].lstrip()
            elif line.startswith(b"data:"):
                data = line[5:].lstrip()
        if event_id is not None:
            self.last_event_id = event_id
        if data is None:
            return
        number, sent = data.split()
        number, sent = int(number), float(sent)
        self.disordered += number <= self.highest
        self.highest = max(self.highest, number)
        self.counts[number] = min(self.counts[number] + 1, 255)
        # An event keeps its id, whoever gets it and when.
        if self.test.ids.setdefault(number, event_id) != event_id:
            self.disordered += 1
        if sent >= self.since:
            self.test.latencies.setdefault(number, array("f")).append(now - sent)

    def connection_lost(self, error):
        if not self.test.ended:
            self.came_back += 1
            asyncio.get_running_loop().call_later(
                random.uniform(*COME_BACK), lambda: asyncio.ensure_future(self.connect()))


class Test:
    """One run: the clients, the publisher, and what became of each event."""

    def __init__(self, options, base, path, servers):
        self.options = options
        url = urllib.parse.urlsplit(base)
        self.address = url.hostname, url.port or 80
        self.path = (url.path + path).encode()
        self.publish_path = url.path + "/publish/load"
        self.servers = servers
        self.most = options.rate * options.seconds + 2000
        self.ended = False
        self.ids = {}               # number: id that clients saw
        self.sent = {}              # number: when
        self.answered = {}          # number: id that the publisher was told
        self.unanswered = set()     # refused, or cut off: published or not, nobody knows
        self.latencies = {}         # number: of each client
        self.number = 0
        self.begun = None

    def publish(self):
        """Publish one event; whether the answer came."""
        number, self.number = self.number, self.number + 1
        self.sent[number] = time.perf_counter()
        body = "data=%d+%.6f" % (number, self.sent[number])
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(*self.address, timeout=10)
            self.connection.request("POST", self.publish_path, body, {
                "Content-Type": "application/x-www-form-urlencoded"})
            answer = self.connection.getresponse()
            told = answer.read()
            if answer.status == 202:
                self.answered[number] = told
                return
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
        self.unanswered.add(number)

    def publisher(self):
        """At the given rate; what could not be kept up is left out, and not made up for."""
        self.connection = None
        first = time.perf_counter()
        for tick in range(10 ** 9):
            wait = first + tick / self.options.rate - time.perf_counter()
            if wait < -1 / self.options.rate:
                continue
            time.sleep(max(0, wait))
            if self.ended or self.number == self.most or (
                    self.begun and time.perf_counter() > self.begun + self.options.seconds):
                return
            self.publish()

    async def run(self):
        options = self.options
        self.clients = [Client(self) for _ in range(options.clients)]
        self.servers.mark("idle")
        thread = threading.Thread(target=self.publisher, daemon=True)
        for at in range(0, len(self.clients), 50):
            await asyncio.gather(*[client.connect() for client in self.clients[at:at + 50]])
        # Some servers send nothing before the first event: only that shows who is there.
        thread.start()
        await self.until(lambda: all(client.highest >= 0 for client in self.clients), 60)
        self.first = self.number + 2    # one may be on its way
        self.servers.mark("loaded")
        self.begun = time.perf_counter()
        acts = [(random.uniform(0.1, 0.8), client.transport.abort)
                for client in random.sample(self.clients, len(self.clients) * options.drop // 100)]
        if options.kill_worker:
            acts.append((0.35, self.servers.kill_worker))
        if options.kill_redis:
            acts += [(0.6, self.servers.kill_redis), (0.65, self.servers.start_redis)]
        loop = asyncio.get_running_loop()
        for moment, act in acts:
            loop.call_later(moment * options.seconds, act)
        while thread.is_alive():
            await asyncio.sleep(0.1)
        expected = {number for number in self.answered if number >= self.first}
        with contextlib.suppress(TimeoutError):
            await self.until(lambda: all(client.counts[number] for client in self.clients
                                         for number in expected), 20)
        self.took = time.perf_counter() - self.begun
        self.servers.mark("done")
        self.ended = True
        for client in self.clients:
            client.transport.abort()
        return self.result(expected)

    async def until(self, condition, seconds):
        end = time.perf_counter() + seconds
        while not condition():
            if time.perf_counter() > end:
                raise TimeoutError("not within %d seconds" % seconds)
            await asyncio.sleep(0.2)

    def result(self, expected):
        clients = self.clients
        latencies = sorted(latency for number in expected
                           for latency in self.latencies.get(number, ()))
        delivered = sum(bool(client.counts[number]) for client in clients for number in expected)
        wrong = sum(self.ids.get(number, self.answered[number]) != self.answered[number]
                    for number in expected)
        rows = [("published", "%d of %d" % (
                    len(expected), self.options.rate * self.options.seconds)),
                ("not answered", "%d" % len(
                    [number for number in self.unanswered if number >= self.first])),
                ("clients that came back", "%d" % sum(bool(each.came_back) for each in clients)),
                ("expected", "%d" % (len(expected) * len(clients))),
                ("delivered", "%d" % delivered),
                ("lost", "%d" % (len(expected) * len(clients) - delivered)),
                ("doubled", "%d" % sum(max(0, count - 1)
                                       for client in clients for count in client.counts)),
                ("out of order, other id", "%d" % (
                    wrong + sum(client.disordered for client in clients)))]
        for name, part in (("p50", 0.5), ("p99", 0.99), ("maximum", 1)):
            at = min(int(len(latencies) * part), len(latencies) - 1)
            rows.append(("latency " + name, "%.0f ms" % (1000 * latencies[at] if at >= 0 else -1)))
        return rows + self.servers.rows(self.took)


class Servers:
    """redis-server and gunicorn as processes of ours, measured and killed; or neither."""

    def __init__(self, options, kind, stack):
        self.marks = {}
        self.base = options.url
        self.redis = self.gunicorn = None
        if self.base:
            return
        self.folder = stack.enter_context(tempfile.TemporaryDirectory())
        self.log = stack.enter_context(open(os.path.join(self.folder, "log"), "w+b"))
        stack.callback(self.stop)
        self.redis_port = free_port()
        self.start_redis()
        port = free_port()
        self.base = "http://127.0.0.1:%d" % port
        _, folder, application, _ = kind
        settings = os.path.join(self.folder, "gunicorn.conf.py")
        with open(settings, "w") as file:
            file.write(SETTINGS)
        self.gunicorn = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", settings, "-b", "127.0.0.1:%d" % port,
             "-k", options.kind, "-w", str(options.workers), "--threads", str(options.clients),
             "--worker-connections", str(options.clients + 100), "--backlog", "2048",
             "--graceful-timeout", "1", "--no-control-socket", "--chdir", folder, application],
            stdout=self.log, stderr=self.log, env=dict(
                os.environ, REDIS_URL="redis://127.0.0.1:%d/0" % self.redis_port))
        wait_for(lambda: self.ready() >= options.workers, "no workers")

    def ready(self):
        if self.gunicorn.poll() is not None:
            self.log.seek(0)
            sys.exit(self.log.read().decode())
        return len(glob.glob(os.path.join(self.folder, "ready-*")))

    def start_redis(self):
        self.redis = subprocess.Popen(
            ["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "",
             "--dir", self.folder, "--appendonly", "yes"], stdout=self.log, stderr=self.log)
        wait_for(lambda: listens(self.redis_port), "no redis-server")

    def kill_redis(self):
        self.redis.kill()
        self.redis.wait()

    def kill_worker(self):
        os.kill(random.choice(self.workers()).pid, signal.SIGKILL)

    def workers(self):
        return psutil.Process(self.gunicorn.pid).children()

    def stop(self):
        for process in (self.gunicorn, self.redis):
            if process and process.poll() is None:
                process.terminate()
                process.wait()

    def mark(self, name):
        """Note what each process uses now."""
        processes = {"this program": psutil.Process()}
        if self.gunicorn:
            processes["redis-server"] = psutil.Process(self.redis.pid)
            for worker in self.workers():
                processes["worker %d" % worker.pid] = worker
        self.marks[name] = {}
        for key, process in processes.items():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                here = [each for each in process.net_connections("tcp")
                        if each.status == "ESTABLISHED" and each.laddr.port == self.port()]
                self.marks[name][key] = (process.memory_full_info().pss,
                                         times.user + times.system, len(here))

    def port(self):
        return urllib.parse.urlsplit(self.base).port

    def rows(self, took):
        """CPU and, where connections are held, memory for each of them; of each process."""
        rows = []
        idle, loaded, done = (self.marks[name] for name in ("idle", "loaded", "done"))
        workers = 0
        for key in sorted(done):
            if key not in loaded:
                continue        # began on the way
            cpu = "%.0f %% of a core" % (100 * (done[key][1] - loaded[key][1]) / took)
            if key.startswith("worker"):
                workers += 1
                connections = loaded[key][2]
                growth = (max(loaded[key][0], done[key][0]) - idle[key][0]) / 1024
                cpu += ", %d streams, %.0f KiB each" % (connections, growth / max(1, connections))
                key = "worker %d" % workers
            rows.append((key, cpu))
        return rows


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def listens(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True


def wait_for(condition, otherwise):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.02)
    sys.exit(otherwise)


def plot(path, tests):
    """The latencies of each event, over the time of the run."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(9, 4.5))
    for (name, test), colour in zip(tests.items(), ("tab:blue", "tab:orange")):
        numbers = sorted(number for number in test.latencies if number >= test.first)
        times = [test.sent[number] - test.begun for number in numbers]
        for part, style in ((0.5, "-"), (0.99, ":")):
            axes.plot(times, [
                1000 * sorted(values)[int(part * (len(values) - 1))]
                for values in map(test.latencies.get, numbers)],
                style, color=colour, label="%s, p%d of the clients" % (name, 100 * part))
    axes.set(xlabel="seconds", ylabel="milliseconds from publish to arrival", yscale="log",
             title="%d clients, %d events a second" % (test.options.clients, test.options.rate))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


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
            ("seconds", 10, 600, "how long"), ("workers", 4, 64, "of gunicorn"),
            ("drop", 10, 100, "per cent of the clients, once each")):
        parser.add_argument("--" + name, type=within(name != "drop", most), default=default,
                            metavar="N", help="%s, up to %d; %d" % (about, most, default))
    parser.add_argument("--kind", default="gevent", help="of worker: gevent, or gthread")
    parser.add_argument("--kill-worker", action="store_true")
    parser.add_argument("--kill-redis", action="store_true")
    parser.add_argument("--peer", action="store_true", help="then the same with flask-sse")
    parser.add_argument("--url", help="of a feed that runs already")
    parser.add_argument("--plot", metavar="FILE")
    options = parser.parse_args()
    if options.url and (options.peer or options.kill_worker or options.kill_redis):
        parser.error("--url goes without --peer and --kill")
    # Children inherit it.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    tests, bad = {}, 0
    for kind in (FEED, PEER) if options.peer else (FEED,):
        with contextlib.ExitStack() as stack:
            servers = Servers(options, kind, stack)
            test = tests[kind[0]] = Test(options, servers.base, kind[3], servers)
            rows = asyncio.run(test.run())
        print("%s: %d clients, %d events a second for %d seconds" % (
            kind[0], options.clients, options.rate, options.seconds))
        for name, value in rows:
            print("  %-24s%s" % (name, value))
        sys.stdout.flush()
        if kind is FEED:
            bad = any(value != "0" for name, value in rows
                      if name in ("lost", "doubled", "out of order, other id"))
    if options.plot:
        plot(options.plot, tests)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
