"""One run of the load test: its clients, its publisher, and what became of each event."""

import asyncio
import contextlib
import http.client
import random
import threading
import time
import urllib.parse

from client import Client


class Test:
    """One run: the clients, the publisher, and what became of each event."""

    def __init__(self, options, path, servers):
        self.options = options
        url = urllib.parse.urlsplit(options.url or "http://127.0.0.1")
        self.host = url.hostname
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
                ports = self.servers.ports
                self.connection = http.client.HTTPConnection(
                    self.host, ports[len(self.unanswered) % len(ports)], timeout=10)
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
        self.clients = [Client(self, number) for number in range(options.clients)]
        self.servers.mark("idle")
        thread = threading.Thread(target=self.publisher, daemon=True)
        for at in range(0, len(self.clients), 50):
            await asyncio.gather(*[client.connect() for client in self.clients[at:at + 50]])
        # Some servers send nothing before the first event: only that shows who is there.
        thread.start()
        await self.until(lambda: all(client.highest >= 0 for client in self.clients), 60)
        self.servers.mark("loaded")
        self.first = self.number + 2    # one may be on its way
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
                ("clients reconnected", "%d" % sum(bool(each.reconnected) for each in clients)),
                ("expected", "%d" % (len(expected) * len(clients))),
                ("delivered", "%d" % delivered),
                ("lost", "%d" % (len(expected) * len(clients) - delivered)),
                ("doubled", "%d" % sum(max(0, count - 1)
                                       for client in clients for count in client.counts)),
                ("told of a gap", "%d" % sum(client.resets for client in clients)),
                ("out of order, other id", "%d" % (
                    wrong + sum(client.disordered for client in clients)))]
        for name, part in (("p50", 0.5), ("p99", 0.99), ("maximum", 1)):
            at = min(int(len(latencies) * part), len(latencies) - 1)
            rows.append(("latency " + name, "%.0f ms" % (1000 * latencies[at] if at >= 0 else -1)))
        return rows + self.servers.rows(self.took)
