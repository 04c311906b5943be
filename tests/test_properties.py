# -*- coding: utf-8 -*-
"""What holds for every input (hypothesis), beside the model."""

from __future__ import unicode_literals

import itertools

import pytest
import six
from hypothesis import given
from hypothesis import strategies as st

from model import lf, plain, plain_data, plain_event, plain_id, plain_retry, Refused
from spec_decoder import Decoder, decode
from sse import last_event_id, Sse
from strategies import CALLS, ENCODINGS, OBJECTS, RETRIES, STREAMS, TEXTS
from support import closed_stream


# Under -bb: hypothesis compares the bytes and the texts that it has made.
pytestmark = pytest.mark.filterwarnings("ignore::BytesWarning")


@given(st.lists(st.tuples(st.sampled_from(["lastEventId", "lastEventId", "x", ""]), TEXTS)))
def test_any_id_in_a_query_is_read(pairs):
    """As a browser's URLSearchParams, and six's urlencode, write it."""
    query = str(six.moves.urllib.parse.urlencode(
        [(name, text.encode("utf-8")) for name, text in pairs]))
    ids = [text for name, text in pairs if name == "lastEventId" and text]
    expected = ids[-1] if ids else None
    assert last_event_id({"REQUEST_METHOD": str("GET"), "QUERY_STRING": query}) == expected
    assert last_event_id({"type": "http", "headers": [], "query_string": query.encode("ascii")}
                         ) == expected


@given(st.lists(st.sampled_from([
    b"lastEventId", b"=", b"&", b"%", b"%4", b"%41", b"+", b";", b"?", b"7", b"\xff", b"\xe2",
    b"%E2%80%A6", b"\x00"]) | st.binary()).map(b"".join))
def test_any_query_is_read_without_an_error(query):
    native = query if six.PY2 else query.decode("latin-1")
    found = last_event_id({"REQUEST_METHOD": str("GET"), "QUERY_STRING": native})
    assert found == last_event_id({"type": "http", "headers": [], "query_string": query})
    assert found is None or found and type(found) is six.text_type


def arrives_or_is_refused(call, expected):
    """Either the client sees what the model says, or a documented error changed nothing."""
    sse = Sse(None)
    sse.add_message("before", "x")
    sse.set_event_id("pending")
    before = bytes(sse)
    try:
        expected = expected()
    except Refused:
        expected = None
    try:
        call(sse)
    except (TypeError, ValueError, LookupError, BufferError):
        assert expected is None
        assert bytes(sse) == before
        sse.add_message("after", "y")
        assert decode(sse.data_to_send()).events == [("before", "x", ""), ("after", "y", "pending")]
        return
    assert expected is not None
    sse.add_message("after", "y")
    client = decode(sse.data_to_send())
    assert client.events == [("before", "x", "")] + expected(client)


@given(OBJECTS, OBJECTS, st.just("utf-8") | ENCODINGS, st.none() | OBJECTS)
def test_any_object_as_a_message(event, text, encoding, event_id):
    def expected():
        message = plain_event(event), plain_data(text, encoding)
        last = "pending" if event_id is None else plain_id(event_id)
        return lambda client: [message + (last,), ("after", "y", last)]

    arrives_or_is_refused(lambda sse: sse.add_message(event, text, encoding, event_id), expected)


@given(OBJECTS | TEXTS)
def test_any_object_as_an_id(event_id):
    def expected():
        last = plain_id(event_id)
        return lambda client: [("after", "y", last)]

    arrives_or_is_refused(lambda sse: sse.set_event_id(event_id), expected)


@given(OBJECTS | RETRIES)
def test_any_object_as_a_retry(num):
    def expected():
        time = plain_retry(num)
        after = [("after", "y", "pending")]
        return lambda client: after if client.reconnection_time == time else []

    arrives_or_is_refused(lambda sse: sse.set_retry(num), expected)


@given(OBJECTS | TEXTS)
def test_any_object_as_a_comment(text):
    def expected():
        comments = lf(plain(text)).count("\n") + 1
        return lambda client: [("after", "y", "pending")] if client.comments == comments else []

    arrives_or_is_refused(lambda sse: sse.add_comment(text), expected)


@given(OBJECTS)
def test_any_object_as_json(value):
    # What json makes of it is json's: here, that it is one line of ASCII, or changes nothing.
    sse = Sse(None)
    try:
        sse.add_json("e", value)
    except (TypeError, ValueError):
        assert bytes(sse) == b""
    else:
        wire = sse.data_to_send()
        assert wire.decode("ascii").count("\n") == 3
        assert len(decode(wire).events) == 1


def after(calls):
    sse = Sse()
    for name, arguments in calls:
        getattr(sse, name)(*arguments)
    return sse


@given(CALLS)
def test_bytes_are_the_same_however_taken(calls):
    """Also item by item, as it comes, and the rest in one piece."""
    wire = bytes(after(calls))
    assert "".join(after(calls)).encode("utf-8") == wire
    assert six.text_type(after(calls)).encode("utf-8") == wire
    assert closed_stream(after(calls)) == (wire or b": \n")
    sse = after(calls)
    for _ in range(3):
        items = iter(sse)
        wire = wire[len("".join(item for item, _ in zip(items, range(1))).encode("utf-8")):]
        items.close()
        assert wire.endswith(bytes(sse))
        wire = bytes(sse)
    assert sse.data_to_send() == wire


def seen(client):
    return client.events, client.last_event_id, client.reconnection_time, client.comments


@given(CALLS.map(lambda calls: bytes(after(calls))) | STREAMS,
       st.lists(st.integers(1, 9), min_size=1))
def test_pieces_change_nothing(stream, sizes):
    whole = seen(decode(stream))
    assert seen(decode(stream, 1)) == whole
    client = Decoder()
    sizes = itertools.cycle(sizes)
    while stream:
        size = next(sizes)
        client.feed(stream[:size])
        stream = stream[size:]
    assert seen(client) == whole
