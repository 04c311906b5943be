# -*- coding: utf-8 -*-
"""An `Sse` as an object: attributes, event methods, how it is read, copies, its size."""

from __future__ import unicode_literals

import copy
import pickle
import sys
import weakref

import pytest
import six

from spec_decoder import decode
from sse import Sse

try:
    import tracemalloc
except ImportError:
    tracemalloc = None


class Sub(Sse):
    """At the top of a module, where pickle finds it."""


PROBES = [
    # Of copy, pickle, Jupyter, numpy and the like.
    "__copy__", "__deepcopy__", "__getnewargs__", "__getinitargs__", "__len__", "__html__",
    "_repr_html_", "__array_interface__", "__wrapped__", "__next__", "next", "__getitem__",
    "__await__", "__aiter__", "read", "send", "fileno",
    "add_evnt_x", "add_event", "add_event_", "add_event_foo\n", "add_event_a b", "add_event_a-b",
    "\nadd_event_a", "xadd_event_a", "Add_event_a", "add_event_a\nb", "",
]


@pytest.mark.parametrize("name", PROBES)
def test_no_attribute(name):
    for target, kind in [(Sse(), "Sse"), (Sub(), "Sub"), (Sse.__new__(Sse), "Sse")]:
        with pytest.raises(AttributeError) as error:
            getattr(target, name)
        assert str(error.value) == "%r object has no attribute %r" % (str(kind), str(name))


def test_names_outside_ascii():
    sse = Sse(None)
    for name in ["add_event_\xe9", "add_event_\xb2", "add_event_\ufb01"]:
        if six.PY2:
            with pytest.raises(AttributeError):
                getattr(sse, name.encode("utf-8"))
        else:
            getattr(sse, name)("x")
    types = [event.type for event in decode(sse.data_to_send()).events]
    assert types == ([] if six.PY2 else ["\xe9", "\xb2", "\ufb01"])


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
    sse.add_message("e", "secret\u2026")
    sse.set_event_id(7)
    assert repr(sse) == "<Sub: 3 blocks, 46 bytes pending>"
    assert type(repr(sse)) is str
    sse.close()
    assert repr(sse) == "<Sub: 3 blocks, 46 bytes pending, closed>"


# -- What is pending ---------------------------------------------------------------------


def filled():
    sse = Sse()
    sse.add_message("a", "1\n2")
    sse.add_message("b", "3")
    sse.set_event_id("7")
    return sse


def test_text_and_bytes():
    sse = Sse()
    sse.add_message("\xe9", "\u2026")
    sse.set_event_id("7")
    text = "retry: 2000\n\nevent: \xe9\ndata: \u2026\n\nid: 7\n\n"
    for _ in range(2):
        assert bytes(sse) == sse.__bytes__() == text.encode("utf-8")
        assert six.text_type(sse) == sse.__unicode__() == text
        assert str(sse) == (text.encode("utf-8") if six.PY2 else text)
        assert [type(kind(sse)) for kind in (bytes, six.text_type, str)] == [
            bytes, six.text_type, str]
    assert "".join(sse) == text
    assert str(sse) == str("") and bytes(sse) == b"" and six.text_type(sse) == ""


def test_flush_during_iteration():
    sse = filled()
    lines = iter(sse)
    assert [next(lines), next(lines)] == ["retry: 2000\n\n", "event: a\n"]
    sse.flush()
    assert bytes(sse) == b"" and len(sse._buffer) == 0
    sse.add_message("c", "4")
    assert list(lines) == ["data: 1\n", "data: 2\n", "\n", "event: c\n", "data: 4\n", "\n"]


def test_abandoned_iteration():
    sse = filled()
    lines = iter(sse)
    assert bytes(sse) == bytes(filled())
    assert [next(lines) for _ in range(3)][-1] == "data: 1\n"
    lines.close()
    assert list(sse) == ["event: b\n", "data: 3\n", "\n", "id: 7\n\n"]
    assert list(sse) == []


# -- Copies ------------------------------------------------------------------------------


COPIERS = [copy.deepcopy]
COPIERS += [lambda sse, protocol=protocol: pickle.loads(pickle.dumps(sse, protocol))
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
if six.PY2:
    import cPickle
    COPIERS += [lambda sse, protocol=protocol: cPickle.loads(cPickle.dumps(sse, protocol))
                for protocol in range(3)]


@pytest.mark.parametrize("duplicate", COPIERS)
def test_copy_is_an_independent_snapshot(duplicate):
    original = Sub()
    original.name = "x"
    original.add_message("a", "1")
    original.set_event_id("7")
    other = duplicate(original)
    assert type(other) is Sub and other.name == "x"
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


def test_nothing_of_threading_until_it_is_used():
    sse = Sse()
    sse.add_message("a", "1", event_id=1)
    sse.set_event_id(2)
    modules = {type(value).__module__ for value in vars(sse).values()}
    assert not modules & {"threading", "_thread", "thread"}


# -- What it costs -----------------------------------------------------------------------

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


def test_each_event_name_is_remembered_whole():
    sse = Sse(None)
    for name in ["name", "names", "nam"] * 2:
        sse.add_message(name, "x")
        assert str(sse) == "event: %s\ndata: x\n\n" % name
        sse.flush()


def test_an_event_name_is_checked_once(monkeypatch):
    monkeypatch.setattr("sse._HEADS", {})
    sse = Sse(None)
    sse.add_message("e", "x")
    monkeypatch.setattr("sse._LINE_END", None)
    sse.add_message("e", "y")
