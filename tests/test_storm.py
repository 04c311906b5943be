"""Clients that break off and reconnect, beside publishers: each event once, in one order."""

from __future__ import unicode_literals

import random

import pytest

from spec_decoder import Decoder
from sse import Channel
from support import Threads


class Client(object):
    """A client that breaks off at random and reconnects with the id that it saw last."""

    def __init__(self, channel, seed, total):
        self.channel = channel
        self.random = random.Random(seed)
        self.total = total
        self.last = channel.newest_id
        self.seen = []
        self.resets = 0

    def run(self):
        while len(self.seen) < self.total:
            client = Decoder()
            stream = self.channel.open(self.last).stream(keepalive=60)
            chunks = self.random.randrange(1, 30)
            for chunk in stream:
                client.feed(chunk)
                chunks -= 1
                if not chunks or len(self.seen) + len(client.events) >= self.total:
                    break
            stream.close()
            for event, data, _ in client.events:
                self.resets += event == "reset"
                self.seen.append(data)
            self.last = client.last_event_id or self.last


@pytest.mark.usefixtures("tiny_switch_interval")
@pytest.mark.parametrize("max_pending", [None, 1048576, 2000])
def test_clients_that_break_off_and_reconnect_get_each_event_once_in_one_order(max_pending):
    total = 1500
    channel = Channel(history=2 * total, max_pending=max_pending)
    clients = [Client(channel, seed, 2 * total) for seed in range(6)]
    threads = Threads()
    for client in clients:
        threads.start(client.run)

    def publish(name):
        for number in range(total):
            channel.add_message(None, "%s %d" % (name, number))

    for name in "ab":
        threads.start(publish, name)
    threads.join()
    orders = [client.seen for client in clients]
    assert all(order == orders[0] for order in orders)
    for name in "ab":
        numbers = [int(data.split()[1]) for data in orders[0] if data.startswith(name)]
        assert numbers == list(range(total))
    assert [client.resets for client in clients] == [0] * 6
    assert channel.streams == []
