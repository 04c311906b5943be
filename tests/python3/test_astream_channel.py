"""Channel with clients in an event loop."""

import asyncio
import random

import pytest

from loops import collect, turn, waiting
from sse import Channel
from support import COMMENT, FOREVER, Threads
from spec_decoder import decode


def message(data):
    return b"event: e\ndata: " + str(data).encode() + b"\n\n"


async def opened(channel, request=None):
    """A stream of `channel`, its first chunk taken."""
    stream = channel.open(request).astream(FOREVER)
    await stream.__anext__()
    return stream


async def test_two_hundred_streams_have_every_event_in_one_order():
    channel = Channel()
    streams = [await opened(channel) for _ in range(200)]
    assert len(channel.streams) == 200

    async def read(stream):
        return b"".join([chunk async for chunk in stream])

    tasks = [asyncio.ensure_future(read(stream)) for stream in streams]
    threads = Threads()

    def publish(name):
        for number in range(10):
            channel.add_message("e", "%s %d" % (name, number))

    for name in "ab":
        threads.start(publish, name)
    await turn()
    threads.join()
    channel.close()
    received = set(await asyncio.gather(*tasks))
    assert len(received) == 1
    data = [event[1] for event in decode(received.pop()).events]
    for name in "ab":
        assert [one for one in data if one[0] == name] == [
            "%s %d" % (name, number) for number in range(10)]
    assert channel.streams == []


async def test_a_slow_client_is_closed_and_gets_the_rest_when_it_reconnects():
    channel = Channel(history=100, default_retry=None, max_pending=100)
    slow = await opened(channel)
    quick = await opened(channel)
    for number in range(20):
        task = await waiting(quick)
        channel.add_message("e", "%d" % number, event_id=number)    # raises nothing
        assert await task == b"event: e\ndata: %d\nid: %d\n\n" % (number, number)
    assert len(channel.streams) == 1
    events = decode(b"".join([chunk async for chunk in slow])).events
    assert 0 < len(events) < 20
    events += decode(channel.open(events[-1][2]).data_to_send()).events
    assert events == [("e", "%d" % number, "%d" % number) for number in range(20)]


@pytest.mark.parametrize("way", ["aclose", "close", "cancel", "drop"])
async def test_a_client_that_disconnects_leaves_at_once(way):
    channel = Channel()
    other = await waiting(await opened(channel))
    stream = await opened(channel)
    assert len(channel.streams) == 2
    if way == "drop":
        del stream
        collect()
    elif way == "cancel":
        task = await waiting(stream)
        task.cancel()
        await asyncio.wait([task])
    else:
        getattr(stream, way)()
    assert len(channel.streams) == 1
    channel.add_message("e", "x")
    assert await other == message("x")


def test_a_loop_that_was_closed_reaches_neither_publisher_nor_others(loop, new_loop):
    channel = Channel()
    other = new_loop()
    lost = other.run_until_complete(opened(channel))
    other.close()
    stream = loop.run_until_complete(opened(channel))
    channel.add_message("e", "x")
    assert len(channel.streams) == 1
    channel.add_message("e", "y")
    assert loop.run_until_complete(next_of(stream)) == message("x") + message("y")
    del lost


async def next_of(stream):
    return await stream.__anext__()


async def test_clients_of_either_kind_in_one_channel():
    channel = Channel(default_retry=None)
    task = await waiting(await opened(channel))
    threaded = channel.open().stream(FOREVER)
    assert next(threaded) == COMMENT
    channel.add_message("e", "x")
    assert next(threaded) == await task == message("x")


async def test_a_producer_beside_the_channel():
    """As for a stream with news of the channel and a clock of its own."""
    channel = Channel(default_retry=None)

    async def produce(sse):
        channel.add_message("e", "all")
        sse.add_message("e", "one")

    chunks = [chunk async for chunk in channel.open().astream(FOREVER, produce)]
    assert b"".join(chunks).replace(COMMENT, b"") == message("all") + message("one")
    assert channel.streams == []


# -- Storm -------------------------------------------------------------------------------

EVENTS = 500
CLIENTS = 6


async def test_clients_that_break_off_and_resume_have_every_event_once(tiny_switch_interval):
    """Two threads publish; each client breaks off in any of four ways, and reconnects."""
    channel = Channel(history=2 * EVENTS, default_retry=None)
    start = channel.newest_id

    def publish(name):
        for number in range(EVENTS):
            channel.add_message("e", "%s %d" % (name, number))

    async def client(seed):
        chance = random.Random(seed)
        last_id = start
        received = []
        while len(received) < 2 * EVENTS:
            stream = channel.open(last_id).astream(FOREVER)
            for _ in range(chance.randint(0, 5)):
                if len(received) == 2 * EVENTS:
                    break
                chunk = await asyncio.wait_for(stream.__anext__(), FOREVER)
                for event, data, event_id in decode(chunk).events:
                    assert event == "e"
                    received.append(data)
                    last_id = event_id
            way = chance.choice(["drop", "aclose", "thread", "cancel"])
            if way == "aclose":
                await stream.aclose()
            elif way == "thread":
                threads.start(stream.aclose)
            elif way == "cancel":
                task = asyncio.ensure_future(stream.__anext__())
                await turn(1)
                task.cancel()
                await asyncio.wait([task])
                task.cancelled() or task.exception()
            del stream
        return received

    threads = Threads()
    for name in "ab":
        threads.start(publish, name)
    received = await asyncio.gather(*[client(seed) for seed in range(CLIENTS)])
    threads.join()
    assert all(one == received[0] for one in received)
    for name in "ab":
        assert [data for data in received[0] if data[0] == name] == [
            "%s %d" % (name, number) for number in range(EVENTS)]
    collect()
    await turn()
    assert channel.streams == []
