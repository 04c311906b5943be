"""What a delivery costs a server: CPU, memory for each open stream, time until the last has it.

    pip install sse "uvicorn[standard]" starlette sse-starlette fastapi \\
        "gunicorn[gevent]" flask flask-sse                  (and redis-server)
    python benchmarks/live.py

One event to --clients clients, --rate a second, least of --rounds, in turn; then one event to
--many clients of one process. Ratios are to the first row. CPU is that of the
server, user and system, for one event to one client; Redis, which flask-sse needs, is not
counted. Each client is checked to get every event. Linux.
"""

import argparse
import contextlib
import http.client
import importlib.util
import json
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
NEEDLE = b'"sensor"'        # once in each event

UVICORN = ["uvicorn", "--port={port}", "--log-level=warning", "live_apps:asgi"]
ASGI = ["bare", "bare, queues", "sse", "sse, Starlette", "sse-starlette", "FastAPI"]
GUNICORN = ["gunicorn", "--bind=127.0.0.1:{port}", "--log-level=warning", "--backlog=2048",
            "--no-control-socket", "--timeout=0", "--worker-connections={most}", "live_apps:wsgi"]
SERVERS = {
    "uvicorn": (UVICORN + ["--loop=asyncio", "--http=h11"], ASGI),
    "uvicorn[standard]": (UVICORN + ["--loop=uvloop", "--http=httptools"], ASGI),
    "gunicorn gthread": (GUNICORN + ["--threads={most}"], ["sse", "flask-sse"]),
    "gunicorn gevent": (GUNICORN + ["--worker-class=gevent"], ["sse", "flask-sse"]),
}
PACKAGES = {"sse, Starlette": "starlette", "sse-starlette": "sse_starlette", "FastAPI": "fastapi",
            "flask-sse": "flask_sse"}


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())


@contextlib.contextmanager
def process(arguments, port, **options):
    with tempfile.TemporaryFile() as output:
        started = subprocess.Popen(
            arguments, stdout=output, stderr=output, start_new_session=True, **options)
        try:
            for _ in range(1500):
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                time.sleep(0.02)
                if started.poll() is not None:
                    output.seek(0)
                    sys.exit(output.read().decode())
            yield started
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)      # gunicorn has a child
            started.wait()


class Clients:
    """Sockets that read in this one thread, and count the events that each has."""

    def __init__(self, port, number):
        self.port = port
        self.epoll = select.epoll()
        self.socks, self.counts, self.tails = {}, {}, {}
        for index in range(number):
            sock = socket.create_connection(("127.0.0.1", port), 30)
            sock.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            sock.setblocking(False)
            self.socks[sock.fileno()] = sock
            self.counts[sock.fileno()] = 0
            self.tails[sock.fileno()] = b""
            self.epoll.register(sock, select.EPOLLIN)
            if index % 50 == 0:
                self.read(0)
        # A server may send nothing before the first event: only that shows who is there. It may
        # take three writes to see that a client of the last round has disconnected.
        while min(self.counts.values()) < 3:
            self.publish(1, 1).join()
            while self.read(0.3):
                pass

    def read(self, timeout):
        """Whether anything came within `timeout` seconds."""
        ready = self.epoll.poll(timeout)
        for number, _ in ready:
            received = self.socks[number].recv(65536)
            if not received:
                sys.exit("a stream ended")
            received = self.tails[number] + received
            self.counts[number] += received.count(NEEDLE)
            self.tails[number] = received[1 - len(NEEDLE):]
        return bool(ready)

    def publish(self, count, rate):
        path = "/publish?count=%d&rate=%d" % (count, rate)
        thread = threading.Thread(target=get, args=(self.port, path))
        thread.start()
        return thread

    def deliver(self, count, rate):
        """Seconds until the last client has the last event."""
        start = time.monotonic()
        before = sum(self.counts.values())
        least = min(self.counts.values())
        thread = self.publish(count, rate)
        expected = before + count * len(self.counts)
        while sum(self.counts.values()) < expected:
            if not self.read(10):
                sys.exit("%d events are missing" % (expected - sum(self.counts.values())))
        took = time.monotonic() - start
        thread.join()
        assert min(self.counts.values()) >= least + count
        return took

    def close(self):
        self.epoll.close()
        for sock in self.socks.values():
            sock.close()


class Bench:
    def __init__(self, options, redis_url):
        self.options = options
        self.redis_url = redis_url

    @contextlib.contextmanager
    def serving(self, server, name):
        port = free_port()
        # Those of the last round are there until the server has noticed.
        most = self.options.clients + self.options.many + 100
        arguments = [part.format(port=port, most=most) for part in SERVERS[server][0]]
        path = os.pathsep.join([HERE, os.path.dirname(HERE), os.environ.get("PYTHONPATH", "")])
        with process([sys.executable, "-m"] + arguments, port, cwd=HERE, env=dict(
                os.environ, LIVE=name, REDIS_URL=self.redis_url, PYTHONPATH=path)):
            with contextlib.closing(Clients(port, 20)):
                pass            # whatever is imported or made once
            yield port

    def many(self, port):
        """KiB for each stream, and seconds until the last client has one event."""
        before = get(port, "/usage")["memory"]
        with contextlib.closing(Clients(port, self.options.many)) as clients:
            took = min(clients.deliver(1, 1) for _ in range(self.options.rounds))
            memory = get(port, "/usage")["memory"] - before
        return memory / 1024 / self.options.many, took

    def cpu(self, port):
        """Microseconds for a delivery."""
        count = int(self.options.seconds * self.options.rate)
        with contextlib.closing(Clients(port, self.options.clients)) as clients:
            before = get(port, "/usage")["cpu"]
            clients.deliver(count, self.options.rate)
            took = get(port, "/usage")["cpu"] - before
        return took / count / self.options.clients * 1e6

    def measure(self, server, names):
        with contextlib.ExitStack() as stack:
            ports = {name: stack.enter_context(self.serving(server, name)) for name in names}
            # First, in a process that has no memory to use again.
            many = {name: self.many(port) for name, port in ports.items()}
            rounds = [{name: self.cpu(port) for name, port in ports.items()}
                      for _ in range(self.options.rounds)]
        for name in names:
            cpu = {each: min(found[each] for found in rounds) for each in (names[0], name)}
            memory, took = many[name]
            print("  %-16s %6.1f us %6.2f %7.1f KiB %8.0f ms" % (
                name, cpu[name], cpu[name] / cpu[names[0]], memory, took * 1000))
        sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, default, about in (
            ("clients", 200, "for the CPU"), ("rate", 20, "events a second"),
            ("seconds", 5, "of each round"), ("rounds", 3, "the least of these counts"),
            ("many", 5000, "clients for memory and time")):
        parser.add_argument("--" + name, type=int, default=default, metavar="N",
                            help="%s; %d" % (about, default))
    parser.add_argument("--only", metavar="NAME", action="append", help="only this one")
    parser.add_argument("--server", choices=sorted(SERVERS), action="append", help="only this one")
    parser.add_argument("--brief", action="store_true", help="few and short, for CI")
    options = parser.parse_args()
    if options.brief:
        options.clients, options.seconds, options.rounds, options.many = 50, 1, 1, 200
        options.server = options.server or sorted(set(SERVERS) - {"uvicorn[standard]"})
    options.server = options.server or list(SERVERS)
    # Servers inherit it.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    left_out = {name for name, package in PACKAGES.items()
                if importlib.util.find_spec(package) is None}
    with contextlib.ExitStack() as stack:
        redis_url = ""
        if shutil.which("redis-server") is None:
            left_out.add("flask-sse")
        elif "flask-sse" not in left_out:
            port = free_port()
            stack.enter_context(process(
                ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""], port))
            redis_url = "redis://127.0.0.1:%d/0" % port
        for name in sorted(left_out):
            print("left out: %s" % name)
        bench = Bench(options, redis_url)
        for server in options.server:
            names = [name for name in SERVERS[server][1] if name not in left_out
                     and (not options.only or name in options.only)]
            print("%s: CPU for a delivery to each of %d clients, %d events a second for %d s,"
                  " least of %d; %d clients: memory for each, time until the last has an event"
                  % (server, options.clients, options.rate, options.seconds, options.rounds,
                     options.many))
            bench.measure(server, names)


if __name__ == "__main__":
    main()
