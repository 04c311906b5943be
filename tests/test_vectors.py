"""The tables of vectors/, in both directions: what `Sse` writes, and what a client sees."""

from __future__ import unicode_literals

import pytest
import six
from six.moves import builtins

from spec_decoder import decode
from sse import Sse
from support import COMMENT, refused
from vectors import call, called, REFUSED, WRITTEN


def native(sse):
    return str(sse) if six.PY2 else str(sse).encode("utf-8")


def closed_stream(sse):
    sse.close()
    return b"".join(sse.stream())


TAKE = [
    ("iteration", lambda sse: "".join(sse).encode("utf-8")),
    ("data_to_send", Sse.data_to_send),
    ("bytes", bytes),
    ("str", native),
    ("text", lambda sse: six.text_type(sse).encode("utf-8")),
    ("stream", closed_stream),
]


def named(rows):
    return [pytest.param(row, id=str(row["name"])) for row in rows]


def wire(row, take):
    """The bytes that the calls of `row` give, the last of them taken by `take`."""
    sse, taken = called(row)
    return taken + take(sse)


def test_there_are_vectors():
    # Without any, pytest would only skip the tests below.
    assert len(WRITTEN) >= 150
    assert len(REFUSED) >= 100


@pytest.mark.parametrize("row", named(WRITTEN))
def test_writes(row):
    for way, take in TAKE:
        # A stream has its first chunk at once, even with nothing to say.
        expected = row["wire"].encode("utf-8") or (COMMENT if way == "stream" else b"")
        assert (way, wire(row, take)) == (way, expected)


@pytest.mark.parametrize("row", named([row for row in WRITTEN if "items" in row]))
def test_items(row):
    sse, _ = called(row)
    items = list(sse)
    assert items == row["items"]
    assert all(type(item) is six.text_type for item in items)
    assert list(sse) == []
    assert len(sse._buffer) == 0


@pytest.mark.parametrize("pieces", [None, 1])
@pytest.mark.parametrize("row", named(WRITTEN))
def test_client_sees(row, pieces):
    client = decode(wire(row, Sse.data_to_send), pieces)
    assert [list(event) for event in client.events] == row["events"]
    assert client.last_event_id == row.get("last_event_id", "")
    assert client.reconnection_time == row.get("retry")
    assert client.comments == row.get("comments", 0)


@pytest.mark.parametrize("row", named(REFUSED))
def test_refused(row):
    with refused(getattr(builtins, row["error"]), row["words"], new=row["new"]) as sse:
        call(sse, *row["call"])
