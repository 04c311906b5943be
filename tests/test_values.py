# -*- coding: utf-8 -*-
"""The values that only Python objects can show: subclasses that lie, long data, codecs, JSON.

All others are in vectors/, a file for each field.
"""

from __future__ import unicode_literals

import array
import codecs
import collections
import decimal
import fractions
import json
import zlib

import pytest
import six
from six.moves import range, UserString

from spec_decoder import decode
from sse import Sse
from support import evil, forbidden, lying, refused, rows

# Not on every interpreter: without them, their rows are left out.
try:
    import enum
except ImportError:
    enum = None
try:
    from unittest import mock
except ImportError:
    mock = None

Text = six.text_type


class EvilFormat(object):
    def __format__(self, spec):
        return "x\n\nevent: admin"

    __str__ = __repr__ = __unicode__ = lambda self: str("x\n\nevent: admin")
    __bytes__ = lambda self: b"x\n\nevent: admin"    # noqa: E731


class Index(object):
    def __index__(self):
        return 5

    __int__ = __trunc__ = __index__


# -- Text and numbers --------------------------------------------------------------------

TEXTS = [
    ("text that lies", lying(Text, evil)("real"), "real"),
    ("text that forbids", lying(Text, forbidden)("real"), "real"),
    ("empty text that lies", lying(Text, evil)(""), ""),
    ("bytes that lie", lying(bytes, evil)(b"r\xc3\xa9al"), "r\xe9al"),
    ("bytes that forbid", lying(bytes, forbidden)(b"real"), "real"),
]
INTEGERS = [
    ("int that lies", lying(int, evil)(7), 7),
    ("int that forbids", lying(int, forbidden)(7), 7),
    ("0 that lies", lying(int, evil)(0), 0),
]
if six.PY2:
    INTEGERS.append(("long that lies", lying(long, evil)(7), 7))    # noqa: F821
if enum is not None:
    TEXTS.append(("enum", enum.Enum(str("T"), {str("A"): "tick"}, type=Text).A, "tick"))
    INTEGERS.append(("enum", enum.IntEnum(str("T"), {str("A"): 7}).A, 7))


@pytest.mark.parametrize("value, arrives", rows(*TEXTS))
def test_real_characters(value, arrives):
    for add, event in [
        (lambda sse: sse.add_message(value, "x"), (arrives or "message", "x", "")),
        (lambda sse: sse.add_message("e", value), ("e", arrives, "")),
        (lambda sse: sse.add_message("e", [value, value]), ("e", arrives + "\n" + arrives, "")),
        (lambda sse: sse.add_message("e", "x", event_id=value), ("e", "x", arrives)),
    ]:
        sse = Sse()
        add(sse)
        assert decode(sse.data_to_send()).events == [event]
    sse.set_event_id(value)
    line = "id: %s" % arrives if arrives else "id"
    assert sse.data_to_send() == (line + "\n\n").encode("utf-8")
    sse.add_comment(value)
    assert sse.data_to_send() == (": %s\n" % arrives).encode("utf-8")


@pytest.mark.parametrize("value", rows(
    ("LF", lying(Text, evil)("x\ndata: pwn")), ("CR", lying(Text, evil)("x\r")),
    ("forbids", lying(Text, forbidden)("x\n")), ("bytes", lying(bytes, evil)(b"x\n"))))
def test_a_subclass_is_checked(value):
    for call in [lambda sse: sse.add_message(value, "x"), lambda sse: sse.set_event_id(value)]:
        with refused(ValueError, ["U+000"]) as sse:
            call(sse)


def test_equal_to_a_name_used_before():
    """The names of events are looked up: nothing may get what another name was given."""
    class Same(Text):
        __eq__ = lambda self, other: True             # noqa: E731
        __hash__ = lambda self: hash("used")          # noqa: E731

    sse = Sse(None)
    sse.add_message("used", "1")
    sse.add_message(Same("x"), "2")
    assert [event.type for event in decode(sse.data_to_send()).events] == ["used", "x"]
    with refused(ValueError) as sse:
        sse.add_message(Same("x\n"), "3")
    if six.PY2:
        sse.add_message(b"used", "4")
        assert decode(sse.data_to_send()).events == [("used", "4", "")]


def test_more_names_than_are_remembered():
    sse = Sse(None)
    names = ["e%d" % number for number in range(1000)] * 2
    for name in names:
        sse.add_message(name, name)
    assert [event[:2] for event in decode(sse.data_to_send()).events] == list(zip(names, names))


@pytest.mark.parametrize("value, digits", rows(*INTEGERS))
def test_real_digits(value, digits):
    sse = Sse(value)
    sse.set_event_id(value)
    sse.add_message("e", "x")
    expected = "retry: %d\n\nevent: e\ndata: x\nid: %d\n\n" % (digits, digits)
    assert sse.data_to_send() == expected.encode("ascii")


NEITHER = [
    ("object", object()), ("evil format", EvilFormat()), ("bytearray", bytearray(b"x")),
    ("memoryview", memoryview(b"x")), ("array", array.array(str("b"), [1])), ("class", Text),
    ("function", rows), ("exception", ValueError("x")), ("UserString", UserString("x")),
    ("generator", (item for item in ["x"])), ("range", range(3)),
    ("keys", six.viewkeys({"x": 1})), ("deque", collections.deque("x")),
    ("complex", 1j), ("Decimal", decimal.Decimal(1)), ("Index", Index()),
    ("an Sse", Sse()), ("dict", {}), ("nan", float("nan")),
]
if mock is not None:
    # isinstance believes it.
    NEITHER += [("mock of " + kind.__name__, mock.Mock(spec=kind))
                for kind in (Text, bytes, int, bool, float, list)]


@pytest.mark.parametrize("value", rows(*NEITHER))
def test_not_text(value):
    for call in [
        lambda sse: sse.add_message(value, "secret"),
        lambda sse: sse.add_message("e", value),
        lambda sse: sse.add_message("e", ["secret", value]),
        lambda sse: sse.set_event_id(value),
        lambda sse: sse.add_comment(value),
    ]:
        with refused(TypeError) as sse:
            call(sse)


@pytest.mark.parametrize("value", rows(*NEITHER + [
    ("text that lies", lying(Text, evil)("5")), ("Fraction", fractions.Fraction(5)),
    ("bytes", b"5")]))
def test_not_an_integer(value):
    for call in [lambda sse: sse.set_retry(value), lambda sse: Sse(None, value)]:
        with refused(TypeError) as sse:
            call(sse)


@pytest.mark.parametrize("number", rows(
    ("10**5000", 10 ** 5000), ("-10**5000", -10 ** 5000), ("lies", lying(int, evil)(-7))))
def test_retry_out_of_range(number):
    with refused(ValueError, ["retry", "0 to 2147483647"]) as sse:
        sse.set_retry(number)


def test_id_of_many_digits():
    for number in [10 ** 1024, 10 ** 5000, -10 ** 5000]:
        with refused(ValueError) as sse:
            sse.set_event_id(number)
    sse.set_event_id(10 ** 1023)
    assert sse.data_to_send() == b"id: 1" + b"0" * 1023 + b"\n\n"


# -- Data --------------------------------------------------------------------------------


class Pair(collections.namedtuple(str("Pair"), "a b")):
    pass


class BadIteration(list):
    def __iter__(self):
        yield "secret"
        raise KeyError("from the caller's own code")


@pytest.mark.parametrize("value, arrives", rows(
    ("namedtuple", Pair("a", "b"), "a\nb"),
    ("set of what lies", set([lying(Text, lambda name: 0)("b"), "a"]), "a\nb"),
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


CIRCULAR = []
CIRCULAR.append(CIRCULAR)


@pytest.mark.parametrize("value, error", rows(
    ("object", object(), TypeError), ("bytearray", bytearray(b"x"), TypeError),
    ("nan as a key", {float("nan"): 1}, ValueError), ("tuple as a key", {(): 1}, TypeError),
    ("circular", CIRCULAR, ValueError)))
def test_json_refused(value, error):
    with refused(error) as sse:
        sse.add_json("e", value)


# -- Encodings ---------------------------------------------------------------------------


def liars(name):
    """Codecs that say they give text: one gives bytes, one what lies about its characters."""
    if name == "sse_test_bytes":
        return codecs.CodecInfo(None, lambda value: (value, len(value)), name=str(name))
    if name == "sse_test_lies":
        lie = lying(Text, evil)("x\n\nevent: evil\ndata: evil")
        return codecs.CodecInfo(None, lambda value: (lie, len(value)), name=str(name))


codecs.register(liars)
BOMB = zlib.compress(b"\0" * 10 ** 6)
NO_TEXT_ENCODING = ["zlib", "sse_test_bytes", "hex", "bz2", "base64", "uu", "quopri", "rot13"]
if six.PY2:
    NO_TEXT_ENCODING.append("string_escape")


@pytest.mark.parametrize("encoding", NO_TEXT_ENCODING)
def test_no_text_encoding(encoding):
    for value in [BOMB, b"", [b"6161"], lying(bytes, evil)(b"6161")]:
        words = [codecs.lookup(encoding).name + " is not a text encoding"]
        with refused(LookupError, words) as sse:
            sse.add_message("e", value, encoding)


def test_the_text_of_a_codec_is_checked():
    sse = Sse(None)
    sse.add_message("e", b"", "sse_test_lies")
    assert decode(sse.data_to_send()).events == [("e", "x\n\nevent: evil\ndata: evil", "")]


def test_no_message_shows_a_long_value():
    long = "secret" * 1000
    for call, error in [
        (lambda sse: sse.add_message(long + "\r", "x"), ValueError),
        (lambda sse: sse.add_message("e", {long: 5}), TypeError),
        (lambda sse: sse.set_event_id(long), ValueError),
        (lambda sse: sse.add_comment("\n" + long + "\ud800"), UnicodeEncodeError),
    ]:
        with refused(error) as sse:
            call(sse)
