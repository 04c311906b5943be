# -*- coding: utf-8 -*-
"""The tables of calls, in both directions: what `Sse` writes, and what a client sees.

`vectors/cases.json`: `new` (the constructor's arguments; if there are none,
`default_retry=None`), `calls` (name, arguments, keywords), `wire`, `items` (of an
iteration), `events` (type, data, last event ID), and the client's `last_event_id`, `retry`
and `comments` where there are any.

`vectors/refusals.json`: `new` likewise, one `call`, the exact class of the `error`, and
`words` of its message. "Sse" as a call is the constructor.

What JSON has not is an object of one key: `{"bytes": "6869"}` (hexadecimal),
`{"tuple": []}`, `{"set": []}`, `{"frozenset": []}`, `{"float": "nan"}`, and for a dict
`{"json": {}}`.
"""

from __future__ import unicode_literals

import binascii
import io
import json
import os

import pytest
import six
from six.moves import builtins

from refusal import refused
from spec_decoder import decode
from sse import Sse

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors")

WRAPPED = {
    "bytes": lambda digits: binascii.unhexlify(digits.encode("ascii")),
    "tuple": lambda items: tuple(value(items)),
    "set": lambda items: set(value(items)),
    "frozenset": lambda items: frozenset(value(items)),
    "float": float,
    "json": lambda content: dict((key, value(item)) for key, item in content.items()),
}


def value(written):
    """A Python value from how the tables write it."""
    if isinstance(written, list):
        return [value(item) for item in written]
    if isinstance(written, dict):
        (kind, content), = written.items()
        return WRAPPED[kind](content)
    return written


def load(name):
    with io.open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return [pytest.param(row, id=str(row["name"])) for row in json.load(file)]


CASES = load("cases.json")
REFUSALS = load("refusals.json")


def arguments_of(row):
    return value({"json": row.get("new", {"default_retry": None})})


def call(target, name, arguments, keywords=None):
    return getattr(target, name)(*value(arguments), **value({"json": keywords or {}}))


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


def written(row, take):
    """The bytes that the calls of `row` give, the last of them taken by `take`."""
    sse = Sse(**arguments_of(row))
    sent = b""
    for name_and_arguments in row["calls"]:
        sent += call(sse, *name_and_arguments) or b""
    return sent + take(sse)


def test_there_are_vectors():
    # Without any, pytest would only skip the tests below.
    assert len(CASES) >= 200
    assert len(REFUSALS) >= 150


@pytest.mark.parametrize("row", CASES)
def test_writes(row):
    for way, take in TAKE:
        # A stream has its first chunk at once, also if it has nothing to say.
        expected = row["wire"] or (": \n" if way == "stream" else "")
        assert (way, written(row, take).decode("utf-8")) == (way, expected)


@pytest.mark.parametrize("row", [row for row in CASES if "items" in row.values[0]])
def test_items(row):
    sse = Sse(**arguments_of(row))
    for name_and_arguments in row["calls"]:
        call(sse, *name_and_arguments)
    items = list(sse)
    assert items == row["items"]
    assert all(type(item) is six.text_type for item in items)
    assert list(sse) == []
    assert len(sse._buffer) == 0


@pytest.mark.parametrize("pieces", [None, 1])
@pytest.mark.parametrize("row", CASES)
def test_client_sees(row, pieces):
    client = decode(written(row, Sse.data_to_send), pieces)
    assert [list(event) for event in client.events] == row["events"]
    assert client.last_event_id == row.get("last_event_id", "")
    assert client.reconnection_time == row.get("retry")
    assert client.comments == row.get("comments", 0)


@pytest.mark.parametrize("row", REFUSALS)
def test_refused(row):
    with refused(getattr(builtins, row["error"]), row["words"], new=arguments_of(row)) as sse:
        name, arguments = row["call"][:2]
        if name == "Sse":
            Sse(*value(arguments), **value({"json": row["call"][2]}))
        else:
            call(sse, *row["call"])
