# -*- coding: utf-8 -*-
"""The tests' own client, against the streams of the web platform tests."""

from __future__ import unicode_literals

import pytest

from spec_decoder import Decoder, decode
from vectors import STREAMS


def test_there_are_streams():
    # Without any, pytest would only skip the test below.
    assert len(STREAMS) >= 40


@pytest.mark.parametrize("pieces", [None, 1, 2, 3, 7])
@pytest.mark.parametrize("stream", [
    pytest.param(stream, id=str(name)) for name, stream in STREAMS])
def test_web_platform_stream(stream, pieces):
    client = decode(stream["stream"].encode("utf-8"), pieces)
    assert [list(event) for event in client.events] == stream["events"]
    assert client.last_event_id == stream.get("last_event_id", "")
    assert client.reconnection_time == stream.get("reconnection_time")


@pytest.mark.parametrize("stream, events", [
    # What the web platform tests leave out.
    (b"id: 7\n\n", []),
    (b"event: a\n\ndata: x\n\n", [("message", "x", "")]),
    (b"event: a\nevent: b\ndata: x\n\n", [("b", "x", "")]),
    (b"data: x\n", []),
    (b"data: x", []),
    (b"data:  two\n\n", [("message", " two", "")]),
    (b"data: a:b\n\n", [("message", "a:b", "")]),
    (b"data:x\r\r\ndata:y\n\n", [("message", "x", "")] + [("message", "y", "")]),
    (b"data:x\n\rdata:y\n\r", [("message", "x", ""), ("message", "y", "")]),
    ("data: a\u2028b\x85c\x0bd\x0ce\x1cf\n\n".encode("utf-8"),
     [("message", "a\u2028b\x85c\x0bd\x0ce\x1cf", "")]),
    (b"data: \xff\xe2\x82x\n\n", [("message", "\ufffd\ufffdx", "")]),
])
def test_stream(stream, events):
    assert decode(stream).events == decode(stream, 1).events == events


def test_id_and_comments():
    assert decode(b"id: 7\n\n").last_event_id == "7"
    assert decode(b"id: 7\n").last_event_id == ""
    assert decode(b"id: 7\n\nid\n\n").last_event_id == ""
    assert decode(b": \n:x\ndata: :\n\n").comments == 2


@pytest.mark.parametrize("retry, time", [
    ("0", 0), ("007", 7), ("2147483647", 2147483647), ("", None), ("+1", None), ("-1", None),
    ("1.5", None), ("1e3", None), ("  5", None), ("5 ", None), ("1_0", None), ("\u0662", None),
])
def test_reconnection_time(retry, time):
    # When the line is read, and not when the block ends.
    assert decode(("retry: %s\n" % retry).encode("utf-8")).reconnection_time == time


def test_feed_returns_what_it_dispatched():
    client = Decoder("kept")
    assert client.feed(b"data: a\n") == []
    assert client.feed(b"\ndata: b\n\nda") == [("message", "a", "kept"), ("message", "b", "kept")]
    assert client.feed(b"") == []
    assert client.feed(b"ta: c\r\r") == [("message", "c", "kept")]
    assert client.feed(b"\n") == []
    assert len(client.events) == 3
