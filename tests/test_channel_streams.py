"""`Channel.streams` and `close`: which streams are open, and how they end."""

from __future__ import unicode_literals

import gc
import weakref

import pytest

from support import COMMENT, FOREVER, Reader, Threads, silent


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


def test_a_stream_that_was_opened_and_never_used_leaves():
    """The handler failed between `open` and `stream`."""
    channel = silent(max_pending=None)
    for _ in range(100):
        channel.open()
    gc.collect()
    assert channel.streams == []
    assert ": 0 streams" in repr(channel)   # nor is its weak reference left


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
    client = channel.open()
    reference = weakref.ref(channel)
    del channel
    gc.collect()
    assert reference() is None
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


def test_close_ends_a_stream_that_waits(stream_of):
    channel = silent()
    reader = Reader(stream_of(channel.open(), FOREVER))
    assert reader.get() == COMMENT
    channel.close()
    assert reader.get() is None


def test_open_after_close_gives_a_closed_stream_with_what_was_missed():
    channel = silent(history=5)
    channel.add_message(None, "1", event_id=1)
    channel.add_message(None, "2", event_id=2)
    channel.close()
    client = channel.open("1")
    assert client.closed and channel.streams == []
    assert list(client.stream()) == [b"data: 2\nid: 2\n\n"]
