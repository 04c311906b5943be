"""One run of the load test: its clients, its publishers, and what became of each event."""

import asyncio
import contextlib
import http.client
import itertools
import random
import threading
import time

from client import Client

# Each waits for its answers, so one alone would be slower than a log is.
PUBLISHERS = 4


class Test:
    """One run: the clients, the publishers, and what became of each event."""

    def __init__(self, options, servers):
        self.options = options
        self.host = "127.0.0.1"
        self.servers = servers
        self.most = options.rate * options.seconds + 200 * options.rate
        self.ended = False
        self.ids = {}               # number: id that clients saw
        self.sent = {}              # number: when
        self.users = {}             # number: for whom; -1: for all
        self.answered = set()
        self.unanswered = set()     # refused, or cut off: published or not, nobody knows
        self.latencies = {}         # number: of each client
        self.numbers = itertools.count()
        self.begun = None

    def publish(self, connection, number):
        """Publish one event; the connection, or None if it broke."""
        users = self.options.users
        user = self.users[number] = random.randrange(users) if users else -1
        self.sent[number] = time.perf_counter()
        try:
            if connection is None:
                connection = http.client.HTTPConnection(
                    self.host, random.choice(self.servers.ports), timeout=10)
            connection.request("POST", "/publish" + ("?topic=user:%d" % user if users else ""),
                               "%d %.6f %d" % (number, self.sent[number], user))
            answer = connection.getresponse()
            answer.read()
            if answer.status == 202:
                self.answered.add(number)
                return connection
        except (OSError, http.client.HTTPException):
            pass
        self.unanswered.add(number)
        connection.close()

    def publisher(self):
        """At the given rate; what could not be kept up is left out, and not made up for."""
        connection = None
        rate = self.options.rate / PUBLISHERS
        first = time.perf_counter() + random.uniform(0, 1 / rate)
        for tick in itertools.count():
            wait = first + tick / rate - time.perf_counter()
            if wait < -1 / rate:
                continue
            time.sleep(max(0, wait))
            if self.ended or self.begun and time.perf_counter() > self.begun + self.options.seconds:
                return
            number = next(self.numbers)
            if number >= self.most:
                return
            connection = self.publish(connection, number)

    async def run(self):
        options = self.options
        self.clients = [Client(self, number) for number in range(options.clients)]
        self.servers.mark("idle")
        threads = [threading.Thread(target=self.publisher, daemon=True) for _ in range(PUBLISHERS)]
        for at in range(0, len(self.clients), 50):
            await asyncio.gather(*[client.connect() for client in self.clients[at:at + 50]])
        for thread in threads:
            thread.start()
        # Some servers send nothing before the first event: only that shows who is there.
        await self.until(lambda: all(client.highest >= 0 or options.users and client.last_event_id
                                     for client in self.clients), 60)
        self.servers.mark("loaded")
        self.first = next(self.numbers) + PUBLISHERS    # as many may be on their way
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
        while any(thread.is_alive() for thread in threads):
            await asyncio.sleep(0.1)
        expected = [(self.clients[user], number) for number, user in self.of_clients()] \
            if options.users else [(client, number) for client in self.clients
                                   for number, _ in self.of_clients()]
        with contextlib.suppress(TimeoutError):
            await self.until(lambda: all(client.counts[number] for client, number in expected), 20)
        self.took = time.perf_counter() - self.begun
        self.servers.mark("done")
        self.ended = True
        for client in self.clients:
            client.transport.abort()
        return self.result(expected)

    def of_clients(self):
        """The number and the user of each event that was published for a client."""
        return [(number, self.users[number]) for number in sorted(self.answered)
                if number >= self.first and self.users[number] < len(self.clients)]

    async def until(self, condition, seconds):
        end = time.perf_counter() + seconds
        while not condition():
            if time.perf_counter() > end:
                raise TimeoutError("not within %d seconds" % seconds)
            await asyncio.sleep(0.2)

    def result(self, expected):
        clients = self.clients
        published = [number for number in self.answered if number >= self.first]
        latencies = sorted(latency for number in published
                           for latency in self.latencies.get(number, ()))
        delivered = sum(bool(client.counts[number]) for client, number in expected)
        rows = [("published", "%d of %d" % (
                    len(published), self.options.rate * self.options.seconds)),
                ("not answered", "%d" % len(
                    [number for number in self.unanswered if number >= self.first])),
                ("clients reconnected", "%d" % sum(bool(each.reconnected) for each in clients)),
                ("expected", "%d" % len(expected)),
                ("delivered", "%d" % delivered),
                ("lost", "%d" % (len(expected) - delivered)),
                ("doubled", "%d" % sum(max(0, count - 1)
                                       for client in clients for count in client.counts)),
                ("foreign", "%d" % sum(client.foreign for client in clients)),
                ("told of a gap", "%d" % sum(client.resets for client in clients)),
                ("out of order, other id", "%d" % sum(client.disordered for client in clients))]
        for name, part in (("p50", 0.5), ("p99", 0.99), ("maximum", 1)):
            at = min(int(len(latencies) * part), len(latencies) - 1)
            rows.append(("latency " + name, "%.0f ms" % (1000 * latencies[at] if at >= 0 else -1)))
        return rows + self.servers.rows(self.took)
