"""A slow client is closed, and holds up nobody."""

from __future__ import unicode_literals

import pytest

from support import COMMENT, FOREVER, Reader, silent


def test_a_slow_client_is_closed_and_hurts_nobody():
    channel = silent(max_pending=100)
    slow, fast = channel.open(), channel.open()
    for number in range(20):
        channel.add_message(None, "%02d" % number)
        assert fast.data_to_send() == ("data: %02d\n\n" % number).encode()
    assert slow.closed and channel.streams == [fast]
    # Nothing is dropped from the middle: it gets all that fitted, and then the end.
    assert list(slow.stream()) == [
        b"".join(("data: %02d\n\n" % number).encode() for number in range(10))]


def test_a_slow_client_whose_stream_waits_is_woken():
    channel = silent(max_pending=100)
    client = channel.open()
    reader = Reader(client.stream(FOREVER))
    assert reader.get() == COMMENT
    client._buffer.append(b"x" * 90)    # without the hook
    channel.add_message(None, "too much")
    assert reader.get() == b"x" * 90
    assert reader.get() is None


def test_what_fits_no_stream_raises_and_closes_none():
    channel = silent(max_pending=9)
    client = channel.open()
    channel.add_message(None, "x")
    client.flush()
    with pytest.raises(BufferError) as info:
        channel.add_message(None, "xx")
    assert "10 bytes" in str(info.value) and "max_pending is 9" in str(info.value)
    assert not client.closed


def test_the_id_of_the_channels_own_counts():
    channel = silent(history=1, max_pending=60)
    client = channel.open()
    client.flush()
    with pytest.raises(BufferError):
        channel.add_message(None, "x" * 50)
    channel.add_message(None, "x" * 10)
    assert not client.closed
    client.flush()
    channel.add_comment("x" * 57)       # has none
    assert not client.closed
