"""Processes behind one log that are killed, while clients drop, resume and move between them.

    python tools/chaos.py [--seconds 60] [sqlite] [redis]

Each process adds events for 10,000 topics, for all, and some that are not kept. Processes are
killed and started again, and so is Redis; clients are cut off anywhere, also within an event, and
resume at any process. Each client has to get every confirmed event of its topics that is kept,
once and in order, and none of others, and may not be told of a gap. Python 3, on Linux or macOS.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
for folder in ("examples", "tests", os.path.join("tests", "integration")):
    sys.path.insert(0, os.path.join(ROOT, folder))

from control import server                  # noqa: E402
from loopback import accepts, free_port, wait_for   # noqa: E402
from spec_decoder import Decoder            # noqa: E402
from sse import Channel                     # noqa: E402

TOPICS = 10000
WORKERS = 4
CLIENTS = 16


def open_store(kind, where):
    if kind == "sqlite":
        from sqlite_store import SQLiteStore
        return SQLiteStore(where)
    from redis_store import RedisStore
    return RedisStore(where, "chaos")


# -- A process ----------------------------------------------------------------------------


def drawn_topic():
    """A few are busy, so that each client gets many events; most are not."""
    return random.randrange(random.choice([20, TOPICS]))


def add_on(channel, rate):
    """Add events, and print those that were confirmed: text, and topics, null for all."""
    for number in range(10 ** 9):
        topics = random.choice([None, [drawn_topic()], [drawn_topic(), drawn_topic()]])
        keep = random.random() < 0.8
        event = ["%d-%d" % (os.getpid(), number), topics and sorted(set(topics)), keep]
        to = channel if topics is None else channel.to(*["topic:%d" % topic for topic in topics])
        try:
            to.add_json("e", event, keep=keep)
        except Exception as error:
            event = None
            if type(error).__name__ != "NotConfirmed":
                raise
        if event:
            sys.stdout.write(json.dumps(event) + "\n")
            sys.stdout.flush()
        time.sleep(random.expovariate(rate))


def work(kind, where, port, rate):
    channel = Channel(history=1000000, default_retry=None, store=open_store(kind, where))

    def application(environ, start_response):
        topics = environ["QUERY_STRING"].split(",")
        start_response("200 OK", [])
        return channel.open(environ, topics).stream(keepalive=1)

    threading.Thread(target=add_on, args=(channel, rate), daemon=True).start()
    server(port, application).serve_forever()


class Process(object):
    """A process of `work`, and what it confirmed."""

    def __init__(self, kind, where, port, rate):
        self.arguments = [sys.executable, os.path.abspath(__file__), "--work", kind, where,
                          str(port), str(rate)]
        self.port = port
        self.confirmed = []
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.arguments, stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read, args=(self.process,), daemon=True)
        self.reader.start()

    def read(self, process):
        with process.stdout:
            for line in process.stdout:
                if line.endswith("\n"):
                    self.confirmed.append(json.loads(line))

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()


# -- A client -----------------------------------------------------------------------------


class Client(threading.Thread):
    """Listens to some topics, and goes from process to process."""

    def __init__(self, ports, number):
        super(Client, self).__init__(daemon=True)
        self.ports = ports
        self.random = random.Random(number)
        self.topics = set(self.random.sample(range(20), 5) + self.random.sample(range(TOPICS), 300))
        self.last = None
        self.events = []
        self.connections = self.told = 0
        self.ready = threading.Event()
        self.done = False

    def run(self):
        while not self.done:
            with contextlib.suppress(OSError):
                self.connect(self.random.choice(self.ports))
            time.sleep(self.random.uniform(0, 0.3))

    def connect(self, port):
        with socket.create_connection(("127.0.0.1", port), 10) as sock:
            request = "GET /?%s HTTP/1.0\r\n" % ",".join(
                "topic:%d" % topic for topic in sorted(self.topics))
            if self.last is not None:
                request += "Last-Event-ID: %s\r\n" % self.last
            sock.sendall((request + "\r\n").encode())
            self.connections += 1
            decoder, head = Decoder(self.last or ""), b""
            left = self.random.expovariate(1 / 2000)        # bytes, until it breaks off
            while left > 0 and not self.done:
                received = sock.recv(min(4096, int(left) + 1))
                left -= len(received)
                if not received:
                    return
                if b"\r\n\r\n" not in head:
                    head += received
                    received = head.partition(b"\r\n\r\n")[2]
                for event in decoder.feed(received):
                    if event.type == "e":
                        self.events.append((json.loads(event.data), event.last_event_id))
                    else:
                        self.told += 1
                if decoder.last_event_id:
                    self.last = decoder.last_event_id
                    self.ready.set()

    def check(self, confirmed):
        """How many are lost, doubled, out of order and foreign."""
        # One that is not kept has no id: who moves at that moment may get it in two processes.
        names = [name for (name, _, keep), _ in self.events if keep]
        mine = [(name, keep) for name, topics, keep in confirmed
                if topics is None or not self.topics.isdisjoint(topics)]
        expected = {name for name, keep in mine if keep}
        numbers = [int(last.partition("-")[2]) for (_, _, keep), last in self.events if keep]
        return {
            "lost": len(expected.difference(names)),
            "doubled": len(names) - len(set(names)),
            "out of order": sum(one >= two for one, two in zip(numbers, numbers[1:])),
            "foreign": sum(topics is not None and self.topics.isdisjoint(topics)
                           for (_, topics, _), _ in self.events),
            "told of a gap": self.told,
        }


# -- A run --------------------------------------------------------------------------------


class Redis(object):
    def __init__(self, folder):
        self.port = free_port()
        self.arguments = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
                          "--save", "", "--dir", folder, "--appendonly", "yes",
                          "--appendfsync", "always"]
        self.url = "redis://127.0.0.1:%d/0" % self.port
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.arguments, stdout=subprocess.DEVNULL)
        wait_for(lambda: accepts(self.port), 20)

    def kill(self):
        self.process.kill()
        self.process.wait()


def chaos(kind, seconds, rate=30):
    """What became of the events, as a dict."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        where, redis = os.path.join(folder, "events.db"), None
        if kind == "redis":
            redis = Redis(folder)
            stack.callback(lambda: redis.kill())
            where = redis.url
        processes = []
        for _ in range(WORKERS):
            processes.append(Process(kind, where, free_port(), rate))
            stack.callback(processes[-1].kill)
        ports = [process.port for process in processes]
        for port in ports:
            wait_for(lambda: accepts(port), 30)
        clients = [Client(ports, number) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            assert client.ready.wait(60), "a client has no id"
        # What was confirmed by now may have come before a client did.
        before = {event[0] for process in processes for event in list(process.confirmed)}
        time.sleep(0.5)
        before |= {event[0] for process in processes for event in list(process.confirmed)}
        kills = 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(random.uniform(0.2, max(0.4, seconds / 15)))
            victim = redis if redis and random.random() < 0.3 else random.choice(processes)
            victim.kill()
            time.sleep(random.uniform(0, 0.5))
            victim.start()
            kills += 1
        # The processes that add end; others serve what is left.
        for process in processes:
            process.kill()
            process.arguments[-1] = "1e-9"
            process.start()
        confirmed = [event for process in processes for event in process.confirmed
                     if event[0] not in before]
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not any(client.check(confirmed)["lost"] for client in clients), 60)
        for client in clients:
            client.done = True
        found = {"confirmed": len(confirmed), "kills": kills,
                 "delivered": sum(len(client.events) for client in clients),
                 "connections": sum(client.connections for client in clients)}
        for client in clients:
            for name, count in client.check(confirmed).items():
                found[name] = found.get(name, 0) + count
        return found


FAULTS = ["lost", "doubled", "out of order", "foreign", "told of a gap"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kind", nargs="*", default=["sqlite", "redis"])
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    bad = False
    for kind in options.kind:
        found = chaos(kind, options.seconds)
        print("%s: %s" % (kind, ", ".join("%s %d" % item for item in found.items())))
        bad = bad or any(found[fault] for fault in FAULTS)
    return int(bad)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        work(sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
    else:
        sys.exit(main())
