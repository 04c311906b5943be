# -*- coding: utf-8 -*-
"""Data that only Python objects can show, long data, and JSON."""

from __future__ import unicode_literals

import collections
import decimal
import json

import pytest
import six

from spec_decoder import decode
from sse import Sse
from support import lying, refused, rows


class Pair(collections.namedtuple(str("Pair"), "a b")):
    pass


class Lines(list):
    pass


class BadIteration(list):
    def __iter__(self):
        yield "secret"
        raise KeyError("from the caller's own code")


@pytest.mark.parametrize("value, arrives", rows(
    ("namedtuple", Pair("a", "b"), "a\nb"), ("list subclass", Lines(["a", "b"]), "a\nb"),
    ("set of what lies", set([lying(six.text_type, lambda name: 0)("b"), "a"]), "a\nb"),
    ("frozenset", frozenset([b"b", "a", "c"]), "a\nb\nc"),
    ("a native string", str("x"), "x"), ("200 000 LF", "\n" * 200000, "\n" * 200000),
    ("200 000 CRLF", "\r\n" * 200000, "\n" * 200000), ("200 000 CR", "\r" * 200000, "\n" * 200000),
    ("10 MB", "x" * 10 ** 7, "x" * 10 ** 7), ("empty items", [""] * 100000, "\n" * 99999)))
def test_data(value, arrives):
    sse = Sse(None)
    sse.add_message("e", value)
    # One string: a list of lines would take eight times the memory.
    assert len(sse._buffer) == 1
    (event_type, data, event_id), = decode(sse.data_to_send()).events
    assert event_type == "e" and event_id == ""
    assert len(data) == len(arrives) and data == arrives, "too long to be shown"


def test_error_of_the_callers_own_code():
    with refused(KeyError) as sse:
        sse.add_message("e", BadIteration())

    def default(value):
        raise KeyError("default")

    with refused(KeyError) as sse:
        sse.add_json("e", object(), default=default)


def test_json_default():
    sse = Sse(None)
    sse.add_json("e", {"at": decimal.Decimal("1.50")}, default=str)
    sse.add_json("e", set("x"), "7", list)
    assert decode(sse.data_to_send()).events == [("e", '{"at":"1.50"}', ""), ("e", '["x"]', "7")]


def test_json_is_ascii():
    sse = Sse(None)
    text = "\x00\x7f\x85\xe9\u2028\u2029\ud800\U0001f600\r\n\r"
    sse.add_json("e", text)
    wire = sse.data_to_send()
    wire.decode("ascii")
    assert wire.count(b"\n") == 3 and b"\r" not in wire
    assert json.loads(decode(wire).events[0].data) == text


@pytest.mark.parametrize("value, error", rows(
    ("object", object(), TypeError), ("bytearray", bytearray(b"x"), TypeError),
    ("set", set(), TypeError),
    ("nan", float("nan"), ValueError), ("infinity", [float("inf")], ValueError),
    ("nan as a key", {float("nan"): 1}, ValueError), ("tuple as a key", {(): 1}, TypeError)))
def test_json_refused(value, error):
    with refused(error) as sse:
        sse.add_json("e", value)


def test_json_circular():
    value = []
    value.append(value)
    with refused(ValueError, ["Circular"]) as sse:
        sse.add_json("e", value)
