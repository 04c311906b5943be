"""Clients that break off and reconnect, beside publishers: each event once, in one order."""

from __future__ import unicode_literals

import random

import pytest

from spec_decoder import Decoder
from sse import Channel
from support import Threads


def read(channel, last_event_id, seed, total, events):
    """Break off at random, and reconnect with the id that was seen last."""
    chance = random.Random(seed)
    while len(events) < total:
        client = Decoder(last_event_id)
        stream = channel.open(client.last_event_id).stream(keepalive=60)
        left = chance.randrange(1, 30)
        for chunk in stream:
            client.feed(chunk)
            left -= 1
            if not left or len(events) + len(client.events) >= total:
                break
        stream.close()
        events += [(event.type, event.data) for event in client.events]
        last_event_id = client.last_event_id


@pytest.mark.usefixtures("tiny_switch_interval")
@pytest.mark.parametrize("max_pending", [None, 2000])
def test_clients_that_break_off_and_reconnect_get_each_event_once_in_one_order(max_pending):
    total = 1500
    channel = Channel(history=2 * total, max_pending=max_pending)
    threads = Threads()
    orders = [[] for _ in range(6)]
    for seed, events in enumerate(orders):
        threads.start(read, channel, channel.newest_id, seed, 2 * total, events)

    def publish(name):
        for number in range(total):
            channel.add_message(name, "%d" % number)

    for name in "ab":
        threads.start(publish, name)
    threads.join()
    assert orders == [orders[0]] * 6
    for name in "ab":
        assert [data for event, data in orders[0] if event == name] == [
            "%d" % number for number in range(total)]
    assert len(orders[0]) == 2 * total      # no reset
    assert channel.streams == []
