# -*- coding: utf-8 -*-
"""What is pending: looked at, iterated over, flushed; and what a reader may count on."""

from __future__ import unicode_literals


import six

from sse import Sse


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
        assert type(bytes(sse)) is bytes
        assert six.text_type(sse) == sse.__unicode__() == text
        assert type(six.text_type(sse)) is six.text_type
        assert type(str(sse)) is str
        assert str(sse) == (text.encode("utf-8") if six.PY2 else text)
    assert "".join(sse) == text
    assert str(sse) == str("") and bytes(sse) == b"" and six.text_type(sse) == ""
    assert list(sse) == []


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
