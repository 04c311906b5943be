# -*- coding: utf-8 -*-
"""What holds for every input (hypothesis), beside the model."""

from __future__ import unicode_literals

import itertools

import pytest
import six
from hypothesis import given
from hypothesis import strategies as st

from model import plain_data, plain_event, plain_id, Refused
from spec_decoder import Decoder, decode
from sse import last_event_id, Sse
from strategies import ENCODINGS, OBJECTS, STREAMS, TEXTS


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


@given(OBJECTS | TEXTS, OBJECTS, st.just("utf-8") | ENCODINGS, st.none() | OBJECTS | TEXTS)
def test_any_object_as_a_message(event, text, encoding, event_id):
    """Either the client sees what the model says, or a documented error changes nothing."""
    sse = Sse(None)
    sse.add_message("before", "x")
    sse.set_event_id("pending")
    before = bytes(sse)
    try:
        last = "pending" if event_id is None else plain_id(event_id)
        expected = [(plain_event(event), plain_data(text, encoding), last), ("after", "y", last)]
    except Refused:
        with pytest.raises((TypeError, ValueError, LookupError)):
            sse.add_message(event, text, encoding, event_id)
        assert bytes(sse) == before
        expected = [("after", "y", "pending")]
    else:
        sse.add_message(event, text, encoding, event_id)
    sse.add_message("after", "y")
    assert decode(sse.data_to_send()).events == [("before", "x", "")] + expected


@given(OBJECTS)
def test_any_object_as_json(value):
    """It is one line of ASCII, or changes nothing."""
    sse = Sse(None)
    try:
        sse.add_json("e", value)
    except (TypeError, ValueError):
        assert bytes(sse) == b""
    else:
        wire = sse.data_to_send()
        assert wire.decode("ascii").count("\n") == 3
        assert len(decode(wire).events) == 1


def seen(client):
    return client.events, client.last_event_id, client.reconnection_time, client.comments


@given(STREAMS, st.lists(st.integers(1, 9), min_size=1))
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
