# -*- coding: utf-8 -*-
"""What only Python objects can show: tables of an input and its outcome."""

from __future__ import unicode_literals

import array
import codecs
import collections
import copy
import decimal
import fractions
import json
import pickle
import weakref
import zlib
from wsgiref.util import is_hop_by_hop

import pytest
import six
from six.moves import range, UserString

from refusal import refused
from spec_decoder import decode
import sse as sse_module
from sse import HEADERS, Sse, last_event_id

# Not on every interpreter: without them, their rows are left out.
try:
    import enum
except ImportError:
    enum = None
try:
    import markupsafe
except ImportError:
    markupsafe = None
try:
    from unittest import mock
except ImportError:
    mock = None

Text = six.text_type


def rows(*table):
    """Rows whose first column is their name, as values that lie have no usable repr."""
    return [pytest.param(*row[1:], id=str(row[0])) for row in table]


# Without these there is no object, no isinstance, and from Python 3.12 on no bytes to join.
NEEDED = ["__class__", "__new__", "__init__", "__getattribute__", "__init_subclass__",
          "__subclasshook__", "__del__", "__dict__", "__doc__"]


def lying(kind, answer):
    """A subclass of `kind` on which every method gives what `answer(name)` gives."""
    def method(name):
        return lambda *args, **kwargs: answer(name)

    names = [name for name in dir(kind) + ["__bool__", "__nonzero__", "__radd__", "__format__"]
             if name not in NEEDED and name not in ("real", "imag", "numerator", "denominator")]
    return type(str("Lying"), (kind,), dict((str(name), method(name)) for name in names))


def evil(name):
    return {"__len__": 0, "__bool__": False, "__nonzero__": False, "__eq__": True,
            "__ne__": False, "__hash__": 0, "__contains__": False, "__iter__": iter(()),
            "__int__": 10 ** 6, "__index__": 10 ** 6, "__add__": 10 ** 6, "__lt__": False,
            "__le__": True, "__ge__": True, "__gt__": False, "split": ["evil"],
            "splitlines": ["evil"], "encode": b"evil\n\ndata: evil", "decode": "evil\n\nevil",
            "__str__": str("evil\n\ndata: evil"), "__unicode__": "evil\n\ndata: evil",
            "__repr__": str("evil"), "__bytes__": b"evil\n\n"}.get(name, "evil\n\ndata: evil")


def forbidden(name):
    raise AssertionError("%s was called" % name)


class EvilFormat(object):
    def __format__(self, spec):
        return "x\n\nevent: admin"

    __str__ = __repr__ = __unicode__ = lambda self: str("x\n\nevent: admin")
    __bytes__ = lambda self: b"x\n\nevent: admin"    # noqa: E731


class Index(object):
    def __index__(self):
        return 5

    __int__ = __trunc__ = __index__


class Sub(Sse):
    """At the top of a module, where pickle finds it."""


class Pair(collections.namedtuple(str("Pair"), "a b")):
    pass


class Lines(list):
    pass


class BadIteration(list):
    def __iter__(self):
        yield "secret"
        raise KeyError("from the caller's own code")


# Text, as it is in each place that takes text.

TEXTS = [
    ("text that lies", lying(Text, evil)("real"), "real"),
    ("text that forbids", lying(Text, forbidden)("real"), "real"),
    ("empty text that lies", lying(Text, evil)(""), ""),
    ("bytes that lie", lying(bytes, evil)(b"r\xc3\xa9al"), "r\xe9al"),
    ("bytes that forbid", lying(bytes, forbidden)(b"real"), "real"),
    ("empty bytes that lie", lying(bytes, evil)(b""), ""),
]
INTEGERS = [
    ("int that lies", lying(int, evil)(7), 7),
    ("int that forbids", lying(int, forbidden)(7), 7),
    ("0 that lies", lying(int, evil)(0), 0),
]
if six.PY2:
    INTEGERS += [
        ("long", long(7), 7),    # noqa: F821
        ("long that lies", lying(long, evil)(7), 7),    # noqa: F821
    ]
if enum is not None:
    TEXTS.append(("enum", enum.Enum(str("T"), {str("A"): "tick"}, type=Text).A, "tick"))
    INTEGERS.append(("enum", enum.IntEnum(str("T"), {str("A"): 7}).A, 7))
if markupsafe is not None:
    TEXTS.append(("Markup", markupsafe.Markup("<b>&amp;"), "<b>&amp;"))


@pytest.mark.parametrize("value, arrives", rows(*TEXTS))
def test_real_characters(value, arrives):
    for add, event in [
        (lambda sse: sse.add_message(value, "x"), (arrives or "message", "x", "")),
        (lambda sse: sse.add_json(value, 1), (arrives or "message", "1", "")),
        (lambda sse: sse.add_message("e", value), ("e", arrives, "")),
        (lambda sse: sse.add_message("e", [value, value]), ("e", arrives + "\n" + arrives, "")),
        (lambda sse: sse.add_event_e(value), ("e", arrives, "")),
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
def test_subclass_is_checked(value):
    for call in [lambda sse: sse.add_message(value, "x"), lambda sse: sse.set_event_id(value),
                 lambda sse: sse.add_message("e", "x", event_id=value)]:
        with refused(ValueError, ["U+000"]) as sse:
            call(sse)


def test_equal_to_a_name_used_before():
    # The names of events are looked up: neither what calls itself equal to one, nor what
    # hashes like one, may get another's.
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


def test_many_names():
    # More than are remembered, and again.
    sse = Sse(None)
    names = ["name%d" % number for number in range(600)] * 2
    for name in names:
        sse.add_message(name, name)
    assert [event[:2] for event in decode(sse.data_to_send()).events] == list(zip(names, names))


@pytest.mark.parametrize("value, digits", rows(*INTEGERS))
def test_real_digits(value, digits):
    sse = Sse(value)
    sse.set_retry(value)
    sse.set_event_id(value)
    sse.add_message("e", "x")
    sse.add_message("e", "y", event_id=value)
    expected = ("retry: %d\n\nretry: %d\n\n"
                "event: e\ndata: x\nid: %d\n\nevent: e\ndata: y\nid: %d\n\n")
    assert sse.data_to_send() == (expected % ((digits,) * 4)).encode("ascii")


# No text.

NOT_TEXT = [
    ("object", object()), ("evil format", EvilFormat()), ("bytearray", bytearray(b"x")),
    ("memoryview", memoryview(b"x")), ("array", array.array(str("b"), [1])), ("class", Text),
    ("function", rows), ("exception", ValueError("x")), ("UserString", UserString("x")),
    ("generator", (item for item in ["x"])), ("iterator", iter(["x"])), ("range", range(3)),
    ("keys", six.viewkeys({"x": 1})), ("values", six.viewvalues({"x": "x"})),
    ("deque", collections.deque("x")),
    ("complex", 1j), ("Decimal", decimal.Decimal(1)), ("Index", Index()), ("Ellipsis", Ellipsis),
    ("NotImplemented", NotImplemented), ("an Sse", Sse()), ("dict", {}), ("nan", float("nan")),
]


@pytest.mark.parametrize("value", rows(*NOT_TEXT))
def test_not_text(value):
    kind = type(value).__name__
    for field, call in [
        ("event", lambda sse: sse.add_message(value, "secret")),
        ("event", lambda sse: sse.add_json(value, "secret")),
        ("data must be text, bytes or a list of them (JSON goes through add_json), not %s" % kind,
         lambda sse: sse.add_message("e", value)),
        ("data", lambda sse: sse.add_message("e", ["secret", value])),
        ("data", lambda sse: sse.add_message("e", ("secret", value, b"\xff"))),
        ("id", lambda sse: sse.set_event_id(value)),
        ("id", lambda sse: sse.add_message("e", "secret", event_id=value)),
        ("id", lambda sse: sse.add_json("e", "secret", event_id=value)),
        ("comment", lambda sse: sse.add_comment(value)),
    ]:
        with refused(TypeError, [field, kind]) as sse:
            call(sse)


@pytest.mark.parametrize("value", rows(
    *[row for row in NOT_TEXT] + [("text that lies", lying(Text, evil)("5")),
                                  ("Fraction", fractions.Fraction(5)), ("bytes", b"5")]))
def test_not_an_integer(value):
    kind = type(value).__name__
    for call in [lambda sse: sse.set_retry(value), lambda sse: Sse(value),
                 lambda sse: Sse(None, value)]:
        with refused(TypeError, ["must be an int", kind]) as sse:
            call(sse)


if mock is not None:
    @pytest.mark.parametrize("kind", [Text, bytes, int, bool, float, list])
    def test_mock(kind):
        # isinstance believes it.
        value = mock.Mock(spec=kind)
        for call in [lambda sse: sse.add_message(value, "x"), lambda sse: sse.set_event_id(value),
                     lambda sse: sse.add_message("e", value), lambda sse: sse.add_comment(value),
                     lambda sse: sse.set_retry(value), lambda sse: Sse(max_pending=value)]:
            with refused(TypeError) as sse:
                call(sse)


@pytest.mark.parametrize("number", rows(
    ("2**31", 2 ** 31), ("10**5000", 10 ** 5000), ("-10**5000", -10 ** 5000), ("-1", -1),
    ("lies", lying(int, evil)(-7))))
def test_retry_out_of_range(number):
    with refused(ValueError, ["retry", "0 to 2147483647"]) as sse:
        sse.set_retry(number)
    with refused(ValueError, ["retry"]) as sse:
        Sse(default_retry=number)


def test_id_of_many_digits():
    for number in [10 ** 1024, 10 ** 5000, -10 ** 5000]:
        with refused(ValueError) as sse:
            sse.set_event_id(number)
    sse.set_event_id(10 ** 1023)
    assert sse.data_to_send() == b"id: 1" + b"0" * 1023 + b"\n\n"


# Data.

@pytest.mark.parametrize("value, arrives", rows(
    ("namedtuple", Pair("a", "b"), "a\nb"), ("list subclass", Lines(["a", "b"]), "a\nb"),
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


def test_cache_of_event_names_is_bounded():
    sse = Sse(None)
    for number in range(1000):
        for event in ["e%d" % number, "long%d" % number * 20]:
            sse.add_message(event, "x")
            assert sse.data_to_send().decode("ascii") == "event: %s\ndata: x\n\n" % event
    assert len(sse_module._HEADS) <= 256
    assert max(len(event) for event in sse_module._HEADS) < 64


# Encodings.

def liars(name):
    """Codecs that say they give text: one gives bytes, one what lies about its characters."""
    if name == "sse_test_bytes":
        return codecs.CodecInfo(None, lambda value: (value, len(value)), name=str(name))
    if name == "sse_test_lies":
        lie = lying(six.text_type, evil)("x\n\nevent: evil\ndata: evil")
        return codecs.CodecInfo(None, lambda value: (lie, len(value)), name=str(name))


codecs.register(liars)
BOMB = zlib.compress(b"\0" * 10 ** 6)
NO_TEXT_ENCODING = ["zlib", "sse_test_bytes", "hex", "bz2", "base64", "uu", "quopri", "rot13"]
if six.PY2:
    NO_TEXT_ENCODING.append("string_escape")


@pytest.mark.parametrize("encoding", NO_TEXT_ENCODING)
def test_no_text_encoding(encoding):
    for value in [BOMB, b"", [b"6161"], lying(bytes, evil)(b"6161")]:
        with refused(LookupError, ["not a text encoding"]) as sse:
            sse.add_message("e", value, encoding)


def test_text_of_a_codec_is_checked():
    sse = Sse(None)
    sse.add_message("e", b"", "sse_test_lies")
    assert decode(sse.data_to_send()).events == [("e", "x\n\nevent: evil\ndata: evil", "")]
    with refused(ValueError, ["event"]) as sse:
        sse.add_message(lying(six.text_type, evil)("x\n"), "x")


@pytest.mark.parametrize("encoding", rows(
    ("None", None), ("int", 5), ("list", []), ("object", object())))
def test_encoding_is_no_name(encoding):
    with refused(TypeError) as sse:
        sse.add_message("e", b"x", encoding=encoding)


# JSON.

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


# Attributes.

PROBES = [
    "__copy__", "__deepcopy__", "__getnewargs__", "__getnewargs_ex__", "__getinitargs__", "__len__",
    "__html__", "_repr_html_", "_ipython_canary_method_should_not_exist_", "__array_interface__",
    "__array__", "__wrapped__", "__next__", "next", "__getitem__", "__fspath__", "__index__",
    "__enter__", "__await__", "__aiter__", "__missing__", "read", "send", "fileno",
    "add_evnt_x", "add_event", "add_event_", "add_event_foo\n", "add_event_foo\r", "add_event_a b",
    "add_event_a-b", "add_event_a.b", "add_event_a:b", "\nadd_event_a", "xadd_event_a",
    "Add_event_a", "add_event_a\nb", "add_event_\n", "", "_locks",
]


@pytest.mark.parametrize("name", PROBES)
def test_no_attribute(name):
    for target, kind in [(Sse(), "Sse"), (Sub(), "Sub"), (Sse.__new__(Sse), "Sse")]:
        with pytest.raises(AttributeError) as error:
            getattr(target, name)
        assert error.type is AttributeError
        assert str(error.value) == "%r object has no attribute %r" % (str(kind), str(name))
        assert not hasattr(target, name)
        assert getattr(target, name, None) is None


NAMES_OUTSIDE_ASCII = ["add_event_\xe9", "add_event_\xb2", "add_event_\ufb01"]
if six.PY2:
    def test_names_outside_ascii():
        for name in NAMES_OUTSIDE_ASCII:
            with pytest.raises(AttributeError):
                getattr(Sse(), name.encode("utf-8"))
else:
    def test_names_outside_ascii():
        sse = Sse(None)
        for name in NAMES_OUTSIDE_ASCII:
            getattr(sse, name)("x")
        types = [event.type for event in decode(sse.data_to_send()).events]
        assert types == ["\xe9", "\xb2", "\ufb01"]


def test_without_init():
    # A subclass that forgets it, and what copy and pickle probe.
    class Forgets(Sse):
        def __init__(self):
            pass

    for target in [Sse.__new__(Sse), Forgets()]:
        for use in [lambda: target.add_message("e", "x"), target.data_to_send, lambda: list(target),
                    lambda: bytes(target), lambda: copy.copy(target)]:
            with pytest.raises(AttributeError) as error:
                use()
            assert "_buffer" in str(error.value) or "_kept_id" in str(error.value)


def test_event_method_is_a_value():
    sse = Sse(None)
    add = sse.add_event_foo
    add("1")
    sse.add_event_bar(text="2", event_id="7")
    add(text=b"\xe9", encoding="latin-1")
    assert decode(sse.data_to_send()).events == [
        ("foo", "1", ""), ("bar", "2", "7"), ("foo", "\xe9", "7")]


def test_event_method_of_a_subclass():
    class Loud(Sse):
        def add_message(self, event, text, **options):
            Sse.add_message(self, event, text.upper(), **options)

    sse = Loud(None)
    sse.add_event_foo("bar")
    assert decode(sse.data_to_send()).events == [("foo", "BAR", "")]


@pytest.mark.parametrize("call", [
    lambda sse: sse.add_event_foo(event="evil", text="x"),
    lambda sse: sse.add_event_foo("x", event="evil"),
    lambda sse: sse.add_event_foo(),
    lambda sse: sse.add_event_foo("x", "utf-8", "1", "more"),
    lambda sse: sse.add_event_foo("x", unknown=1),
    lambda sse: sse.add_message("x"),
    lambda sse: sse.add_message(event="x", data="y"),
])
def test_wrong_arguments(call):
    with refused(TypeError) as sse:
        call(sse)


# What an Sse is as an object.

def test_no_length_and_always_true():
    for sse in [Sse(), Sse(None)]:
        # wsgiref takes a response of length 1 for its first chunk.
        with pytest.raises(TypeError):
            len(sse)
        assert bool(sse) is True
        assert sse == sse and sse != Sse(None) and len(set([sse, sse])) == 1
        assert weakref.ref(sse)() is sse
        with pytest.raises(TypeError):
            next(sse)


def test_text_and_bytes():
    sse = Sse()
    sse.add_message("\xe9", "\u2026")
    sse.set_event_id("7")
    text = "retry: 2000\n\nevent: \xe9\ndata: \u2026\n\nid: 7\n\n"
    for _ in range(2):
        assert bytes(sse) == sse.__bytes__() == text.encode("utf-8")
        assert type(bytes(sse)) is bytes
        assert six.text_type(sse) == sse.__unicode__() == text
        assert type(six.text_type(sse)) is Text
        assert type(str(sse)) is str
        assert str(sse) == (text.encode("utf-8") if six.PY2 else text)
    assert "".join(sse) == text
    assert str(sse) == str("") and bytes(sse) == b"" and six.text_type(sse) == ""
    assert list(sse) == []


def test_repr():
    sse = Sub()
    assert repr(sse) == "<Sub: 1 blocks, 13 bytes waiting>"
    sse.add_message("e", "secret\u2026")
    sse.set_event_id(7)
    assert repr(sse) == "<Sub: 3 blocks, 46 bytes waiting>"
    assert type(repr(sse)) is str
    sse.close()
    assert repr(sse) == "<Sub: 3 blocks, 46 bytes waiting, closed>"
    sse.flush()
    assert repr(sse) == "<Sub: 0 blocks, 0 bytes waiting, closed>"


def test_headers():
    assert HEADERS == (("Content-Type", "text/event-stream"),
                       ("Cache-Control", "no-store, no-transform"), ("X-Accel-Buffering", "no"))
    assert type(HEADERS) is tuple
    for pair in HEADERS:
        assert type(pair) is tuple
        assert [type(item) for item in pair] == [str, str]
        assert not is_hop_by_hop(pair[0])


@pytest.mark.parametrize("octets, event_id", [
    (b"7", "7"), (b"", None), (b"0", "0"), (b" ", " "), (b"\xe2\x80\xa6", "\u2026"),
    (b"\xf0\x9f\x98\x80", "\U0001f600"), (b"\xef\xbb\xbf7", "\ufeff7"), (b"a\x00b", "a\x00b"),
    (b"a\r\nb", "a\r\nb"), (b"\xff", None), (b"7\xff", None), (b"\xe2\x80", None),
    (b"\xed\xa0\x80", None), (b"\xc0\x8a", None), (b"\xe9", None), (b"x" * 65536, "x" * 65536),
])
def test_last_event_id(octets, event_id):
    # PEP 3333: bytes, on Python 3 as the characters of latin-1.
    environ = {"HTTP_LAST_EVENT_ID": octets if six.PY2 else octets.decode("latin-1")}
    received = last_event_id(environ)
    assert received == event_id
    assert received is None or type(received) is Text


@pytest.mark.parametrize("environ", [
    {}, {"HTTP_LAST_EVENT_ID": None}, {"HTTP_LAST_EVENT_ID": "\u2026"}, {"HTTP_LAST_EVENT_ID": ""},
    {"HTTP_LAST_EVENT_ID": "\ud800"}, {"LAST_EVENT_ID": "7"}, {"Last-Event-ID": "7"},
])
def test_no_last_event_id(environ):
    assert last_event_id(environ) is None


# Reading.

def filled():
    sse = Sse()
    sse.add_message("a", "1\n2")
    sse.add_message("b", "3")
    sse.set_event_id("7")
    return sse


def test_flush():
    sse = filled()
    sse.flush()
    assert len(sse._buffer) == 0
    sse.flush()
    assert bytes(sse) == b"" and list(sse) == []
    sse.add_message("c", "4")
    assert list(sse) == ["event: c\n", "data: 4\n", "\n"]


def test_flush_during_iteration():
    sse = filled()
    lines = iter(sse)
    assert [next(lines), next(lines)] == ["retry: 2000\n\n", "event: a\n"]
    sse.flush()
    sse.add_message("c", "4")
    assert list(lines) == ["data: 1\n", "data: 2\n", "\n", "event: c\n", "data: 4\n", "\n"]


def test_abandoned_iteration():
    sse = filled()
    lines = iter(sse)
    assert [next(lines) for _ in range(3)][-1] == "data: 1\n"
    lines.close()
    assert list(sse) == ["event: b\n", "data: 3\n", "\n", "id: 7\n\n"]
    assert list(sse) == []


def test_iteration_not_begun_takes_nothing():
    sse = filled()
    iter(sse)
    assert sse.data_to_send() == bytes(filled())


def test_iteration_sees_what_is_added():
    sse = Sse(None)
    sse.add_message("a", "1")
    items = []
    for item in sse:
        items.append(item)
        if item == "\n" and len(items) < 9:
            sse.add_message("a", "1")
    assert items == ["event: a\n", "data: 1\n", "\n"] * 3
    assert len(sse._buffer) == 0


def test_two_iterations_share_whole_blocks():
    sse = filled()
    first, second = iter(sse), iter(sse)
    assert [next(first), next(first)] == ["retry: 2000\n\n", "event: a\n"]
    assert [next(second) for _ in range(3)] == ["event: b\n", "data: 3\n", "\n"]
    assert list(second) == ["id: 7\n\n"]
    assert list(first) == ["data: 1\n", "data: 2\n", "\n"]


# The bound.

@pytest.mark.parametrize("take", [
    list, Sse.data_to_send, Sse.flush, lambda sse: next(iter(sse)),
])
def test_bound_is_free_again(take):
    sse = Sse(None, max_pending=18)
    for _ in range(3):
        sse.add_message("e", "x")
        with pytest.raises(BufferError):
            sse.add_comment()
        # Looking takes nothing.
        assert len(bytes(sse)) == len(str(sse)) == 18 and repr(sse)
        with pytest.raises(BufferError):
            sse.add_comment()
        take(sse)
    assert sse.data_to_send() == b""


def test_bound_is_free_again_in_a_stream():
    sse = Sse(None, max_pending=18)
    chunks = sse.stream(None)
    assert next(chunks) == b": \n"
    for _ in range(3):
        sse.add_message("e", "x")
        assert next(chunks) == b"event: e\ndata: x\n\n"
    chunks.close()


# Copies.

COPIERS = [copy.copy, copy.deepcopy]
COPIERS += [lambda sse, protocol=protocol: pickle.loads(pickle.dumps(sse, protocol))
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
if six.PY2:
    import cPickle
    COPIERS += [lambda sse, protocol=protocol: cPickle.loads(cPickle.dumps(sse, protocol))
                for protocol in range(3)]


@pytest.mark.parametrize("duplicate", COPIERS)
@pytest.mark.parametrize("kind, max_pending", [(Sse, None), (Sub, None), (Sse, 1000)])
def test_copy_is_an_independent_snapshot(duplicate, kind, max_pending):
    original = kind(max_pending=max_pending)
    original.add_message("a", "1")
    original.set_event_id("7")
    other = duplicate(original)
    assert type(other) is kind
    before = bytes(original)
    assert bytes(other) == before == b"retry: 2000\n\nevent: a\ndata: 1\n\nid: 7\n\n"
    other.add_message("b", "2")
    assert bytes(original) == before
    original.flush()
    original.add_message("c", "3")
    assert other.data_to_send() == (
        b"retry: 2000\n\nevent: a\ndata: 1\n\nevent: b\ndata: 2\nid: 7\n\n")
    assert original.data_to_send() == b"event: c\ndata: 3\n\n"
    other.close()
    assert not original.closed and duplicate(other).closed


def test_copy_keeps_attributes():
    original = Sub()
    original.name = "x"
    for duplicate in COPIERS:
        assert duplicate(original).name == "x"


# Messages: short, ASCII; the field, the rule, the place; no value in full.

LONG = "secret" * 1000


@pytest.mark.parametrize("call, error, message", [
    (lambda sse: sse.add_message("a\nb" + LONG, "x"), ValueError,
     "event must be one line (U+000A at index 1)"),
    (lambda sse: sse.add_message(LONG + "\r", "x"), ValueError,
     "event must be one line (U+000D at index 6000)"),
    (lambda sse: sse.add_message(5, "x"), TypeError, "event must be text or bytes, not int"),
    (lambda sse: sse.add_message("e", {LONG: 5}), TypeError,
     "data must be text, bytes or a list of them (JSON goes through add_json), not dict"),
    (lambda sse: sse.add_comment(None), TypeError, "comment must be text or bytes, not NoneType"),
    (lambda sse: sse.set_event_id("a\x00" + LONG), ValueError,
     "id must have no control characters (U+0000 at index 1)"),
    (lambda sse: sse.set_event_id(" 7"), ValueError, "id must not begin or end with a space"),
    (lambda sse: sse.set_event_id(LONG), ValueError, "id must not be longer than 1024 bytes"),
    (lambda sse: sse.set_event_id(True), TypeError, "id must be text, bytes or an int, not bool"),
    (lambda sse: sse.set_event_id(1.5), TypeError, "id must be text, bytes or an int, not float"),
    (lambda sse: sse.set_retry("5"), TypeError, "retry must be an int, not %s" % Text.__name__),
    (lambda sse: sse.set_retry(10 ** 5000), ValueError,
     "retry must be 0 to 2147483647 milliseconds"),
    (lambda sse: sse.add_message("e", b"x", "hex"), LookupError, "hex is not a text encoding"),
    (lambda sse: Sse(max_pending=0), ValueError, "max_pending must be above 0"),
    (lambda sse: Sse(max_pending=1.5), TypeError, "max_pending must be an int, not float"),
    (lambda sse: Sse(None, 20).add_message("e", LONG), BufferError,
     "6017 bytes would wait, and max_pending is 20"),
    (lambda sse: sse.stream("5"), TypeError,
     "keepalive must be a number or None, not %s" % Text.__name__),
    (lambda sse: sse.stream(0), ValueError,
     "keepalive must be above 0 and up to 2147483 seconds"),
])
def test_message(call, error, message):
    with pytest.raises(error) as caught:
        call(Sse(None))
    assert str(caught.value) == message


@pytest.mark.parametrize("call", [
    lambda sse: sse.add_message(LONG + "\ud800", "x"),
    lambda sse: sse.add_message("e", LONG + "\ud800"),
    lambda sse: sse.set_event_id("\ud800"), lambda sse: sse.add_comment("\n" + LONG + "\ud800"),
])
def test_surrogate_message(call):
    words = ["utf-8", "\\ud800", "position", "surrogates not allowed"]
    with refused(UnicodeEncodeError, words) as sse:
        call(sse)
