"""A client of the feed that reconnects as browsers do, and counts what it gets."""

import asyncio
import random
import time
from array import array

RECONNECT = 0.5, 2      # seconds, from and to


class Client(asyncio.Protocol):
    """Reconnects when it is cut off; the number in the data tells the events apart."""

    def __init__(self, test, number):
        self.test = test
        self.place = number             # of its server, among all
        self.counts = array("B", bytes(test.most))
        self.highest = -1
        self.last_event_id = b""
        self.user = number
        self.path = b"/events" + (b"?topic=user:%d" % number if test.options.users else b"")
        self.reconnected = self.disordered = self.resets = self.foreign = 0
        self.transport = None

    async def connect(self):
        while not self.test.ended:
            try:
                ports = self.test.servers.ports
                await asyncio.get_running_loop().create_connection(
                    lambda: self, self.test.host, ports[self.place % len(ports)])
                return
            except OSError:
                self.place += 1
                await asyncio.sleep(random.uniform(*RECONNECT))

    def connection_made(self, transport):
        self.transport = transport
        self.since = None
        self.buffer = b""
        last = b"Last-Event-ID: %s\r\n" % self.last_event_id if self.last_event_id else b""
        # HTTP/1.0: then the body comes without chunks.
        transport.write(b"GET %s HTTP/1.0\r\nHost: load\r\n%s\r\n" % (self.path, last))

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
        self.resets += block.startswith(b"event: reset\n")
        for line in block.split(b"\n"):
            if line.startswith(b"id:"):
                event_id = line[3:].lstrip()
            elif line.startswith(b"data:"):
                data = line[5:].lstrip()
        if event_id is not None:
            self.last_event_id = event_id
        if not data:
            return
        number, sent, user = data.split()
        number, sent = int(number), float(sent)
        self.foreign += int(user) not in (-1, self.user)
        place = int(event_id.rpartition(b"-")[2])
        self.disordered += place <= self.highest
        self.highest = max(self.highest, place)
        self.counts[number] = min(self.counts[number] + 1, 255)
        # An event keeps its id, whoever gets it and when.
        if self.test.ids.setdefault(number, event_id) != event_id:
            self.disordered += 1
        if sent >= self.since:
            self.test.latencies.setdefault(number, array("f")).append(now - sent)

    def connection_lost(self, error):
        if not self.test.ended:
            self.reconnected += 1
            self.place += 1
            asyncio.get_running_loop().call_later(
                random.uniform(*RECONNECT), lambda: asyncio.ensure_future(self.connect()))
