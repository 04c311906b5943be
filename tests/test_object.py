# -*- coding: utf-8 -*-
"""What an `Sse` is as an object: attributes, event methods, copies, its repr and its size."""

from __future__ import unicode_literals

import copy
import pickle
import sys
import weakref

import pytest
import six

from spec_decoder import decode
from sse import Channel, Sse
from support import refused

try:
    import tracemalloc
except ImportError:
    tracemalloc = None


def calls(function, *arguments):
    """How many functions it calls, itself too."""
    kinds = []
    sys.setprofile(lambda frame, kind, argument: kinds.append(kind))
    try:
        function(*arguments)
    finally:
        sys.setprofile(None)
    return kinds.count("call")


class Sub(Sse):
    """At the top of a module, where pickle finds it."""


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
                    lambda: bytes(target)]:
            with pytest.raises(AttributeError):
                use()


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


def test_repr():
    sse = Sub()
    assert repr(sse) == "<Sub: 1 blocks, 13 bytes pending>"
    sse.add_message("e", "secret\u2026")
    sse.set_event_id(7)
    assert repr(sse) == "<Sub: 3 blocks, 46 bytes pending>"
    assert type(repr(sse)) is str
    sse.close()
    assert repr(sse) == "<Sub: 3 blocks, 46 bytes pending, closed>"
    sse.flush()
    assert repr(sse) == "<Sub: 0 blocks, 0 bytes pending, closed>"


COPIERS = [copy.deepcopy]

COPIERS += [lambda sse, protocol=protocol: pickle.loads(pickle.dumps(sse, protocol))
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
if six.PY2:
    import cPickle
    COPIERS += [lambda sse, protocol=protocol: cPickle.loads(cPickle.dumps(sse, protocol))
                for protocol in range(3)]


@pytest.mark.parametrize("duplicate", COPIERS)
@pytest.mark.parametrize("kind", [Sse, Sub])
def test_copy_is_an_independent_snapshot(duplicate, kind):
    original = kind()
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


def test_nothing_of_threading_until_it_is_used():
    sse = Sse()
    sse.add_message("a", "1", event_id=1)
    sse.set_event_id(2)
    list(sse)
    modules = {type(value).__module__ for value in vars(sse).values()}
    assert not modules & {"threading", "_thread", "thread"}


if tracemalloc is not None and hasattr(sys, "getrefcount"):
    def test_what_an_sse_costs():
        def traced(make):
            many = [None] * 10000
            tracemalloc.start()
            for number in range(len(many)):
                many[number] = make()
            cost = tracemalloc.get_traced_memory()[0] / len(many)
            tracemalloc.stop()
            return cost

        def streaming():
            sse = Sse()
            stream = sse.stream()
            next(stream)
            return stream

        assert traced(Sse) <= 1024
        assert traced(streaming) < 4096

    @pytest.mark.parametrize("count, size", [(20000, 5), (200, 100000)])
    def test_event_names_do_not_fill_the_memory(count, size, monkeypatch):
        """They may come from users."""
        monkeypatch.setattr("sse._HEADS", {})
        sse = Sse(None)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(count):
            sse.add_message("%0*d" % (size, number), "x")
            sse.flush()
        kept = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        assert kept < 500000


def test_an_event_name_is_checked_once(monkeypatch):
    monkeypatch.setattr("sse._HEADS", {})
    first, second = [calls(Sse(None).add_message, "e", "x") for _ in range(2)]
    assert second < first


@pytest.mark.parametrize("function, defaults", [
    (Sse.__init__, (2000, None)),
    (Sse.stream, (15, None)),
    (Sse.astream, (15, None)),
    (Channel.__init__, (0, 2000, 1048576, "reset", None)),
])
def test_the_defaults(function, defaults):
    assert function.__defaults__ == defaults
