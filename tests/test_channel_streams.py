"""`Channel.streams` and `close`: which streams are open, and how they end."""

from __future__ import unicode_literals

import gc
import weakref

import pytest

from sse import Channel
from support import COMMENT, FOREVER, log, Reader, Threads, silent


def test_a_stream_that_is_closed_leaves_at_once():
    channel = silent()
    client, other = channel.open(), channel.open()
    client.close()
    assert channel.streams == [other]
    channel.add_message(None, "x")
    assert client.data_to_send() == b"" and other.data_to_send() == b"data: x\n\n"


@pytest.mark.parametrize("chunks", [0, 1])
def test_a_client_that_disconnects_leaves_at_once(chunks, stream_of):
    channel = silent()
    client = channel.open()
    stream = stream_of(client)
    for _ in range(chunks):
        next(stream)
    assert channel.streams == [client]
    stream.close()
    assert channel.streams == [] and client.closed


@pytest.mark.parametrize("chunks", [0, 1])
def test_a_stream_that_is_dropped_leaves(chunks, stream_of):
    channel = silent()
    stream = stream_of(channel.open())
    for _ in range(chunks):
        next(stream)
    del stream
    gc.collect()
    assert channel.streams == []


@pytest.mark.usefixtures("tiny_switch_interval")
def test_streams_while_others_come_and_leave():
    channel = silent()
    stay = [channel.open() for _ in range(100)]
    threads = Threads()

    def come_and_leave():
        for _ in range(500):
            for client in [channel.open() for _ in range(10)]:
                client.close()

    thread = threads.start(come_and_leave)
    while thread.is_alive():
        assert set(stay) <= set(channel.streams)
    threads.join()
    assert set(channel.streams) == set(stay)


def test_an_open_stream_does_not_keep_its_channel():
    """With all of its history."""
    channel = silent(history=5)
    client = channel.open(None, "a")
    kept = [weakref.ref(channel), weakref.ref(log(channel))]
    del channel
    gc.collect()
    assert [reference() for reference in kept] == [None, None]
    client.close()


def test_streams_is_a_list_of_its_own():
    channel = silent()
    client = channel.open()
    del channel.streams[:]
    assert channel.streams == [client] and type(channel.streams) is list


def test_close_ends_every_stream_with_what_is_pending(stream_of):
    channel = silent()
    streams = [stream_of(channel.open()) for _ in range(3)]
    assert [next(stream) for stream in streams] == [COMMENT] * 3
    channel.add_message(None, "last")
    channel.close()
    assert [list(stream) for stream in streams] == [[b"data: last\n\n"]] * 3
    assert channel.closed and channel.streams == []
    channel.close()


@pytest.mark.parametrize("close", [Channel.close, lambda channel: channel.to("a").close()])
def test_close_ends_a_stream_that_waits(close, stream_of):
    channel = silent()
    reader = Reader(stream_of(channel.open(topics="a"), FOREVER))
    assert reader.get() == COMMENT
    close(channel)
    assert reader.get() is None


def test_open_after_close_gives_a_closed_stream_with_what_was_missed():
    channel = silent(history=5)
    channel.to("a").add_message(None, "1", event_id=1)
    channel.to("a").add_message(None, "2", event_id=2)
    channel.close()
    client = channel.open("1", "a")
    assert client.closed and channel.streams == channel.to("a").streams == []
    assert list(client.stream()) == [b"data: 2\nid: 2\n\n"]
