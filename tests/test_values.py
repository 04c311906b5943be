# -*- coding: utf-8 -*-
"""Event, id and retry, text and numbers: which objects they may be.

The values that are refused are in vectors/, a file for each field.
"""

from __future__ import unicode_literals

import array
import collections
import decimal
import fractions

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
    import markupsafe
except ImportError:
    markupsafe = None
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


@pytest.mark.parametrize("times", [1, 20])
def test_more_names_than_are_remembered(times):
    sse = Sse(None)
    names = ["e%d" % number * times for number in range(1000)] * 2
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
