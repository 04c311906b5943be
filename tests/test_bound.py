# -*- coding: utf-8 -*-
"""`max_pending`: how many bytes may be pending."""

from __future__ import unicode_literals

import pytest
import six

from sse import Sse
from support import Threads

WRITERS = 4

ADDS = [
    (lambda sse: sse.set_retry(5), "retry: 5\n\n"),
    (lambda sse: sse.add_message("e", u"\u20ac\r\nx"), u"event: e\ndata: \u20ac\ndata: x\n\n"),
    (lambda sse: sse.add_message("e", "x", event_id=5), "event: e\ndata: x\nid: 5\n\n"),
    (lambda sse: sse.add_json("e", [1, 2]), "event: e\ndata: [1,2]\n\n"),
    (lambda sse: sse.add_comment(u"\xe9\n"), u": \xe9\n: \n"),
]


@pytest.mark.parametrize("add, text", ADDS)
def test_the_bound_is_exact_to_the_byte(add, text):
    before = u"event: w\ndata: w\n\n"
    size = len((before + text).encode("utf-8"))
    for bound in (size, size - 1):
        sse = Sse(default_retry=None, max_pending=bound)
        sse.add_message("w", "w")
        if bound == size:
            add(sse)
            assert six.text_type(sse) == before + text
        else:
            with pytest.raises(BufferError) as info:
                add(sse)
            assert str(size) in str(info.value) and str(bound) in str(info.value)
            assert six.text_type(sse) == before
        sse.flush()
        add(sse)
        assert six.text_type(sse) == text


@pytest.mark.parametrize("add, before, after", [
    (lambda sse: sse.add_comment("x"), ": x\n", "id: 1234\n\n"),
    (lambda sse: sse.set_retry(1), "retry: 1\n\n", "id: 1234\n\n"),
    (lambda sse: sse.add_message(None, "x"), "data: x\nid: 1234\n\n", ""),
    (lambda sse: sse.add_message(None, "x", event_id="9"), "data: x\nid: 9\n\n", ""),
    (lambda sse: sse.add_message(None, "x", event_id=""), "data: x\nid\n\n", ""),
    (lambda sse: sse.set_event_id("56789"), "", "id: 56789\n\n"),
])
def test_a_pending_id_does_not_count_until_it_is_written(add, before, after):
    for bound in (len(before), len(before) - 1):
        sse = Sse(default_retry=None, max_pending=max(bound, 1))
        sse.set_event_id("1234")
        if bound >= len(before) or not before:
            add(sse)
            assert six.text_type(sse) == before + after
        else:
            with pytest.raises(BufferError):
                add(sse)
            assert six.text_type(sse) == "id: 1234\n\n"
            sse.flush()
            sse.add_comment("x" * (bound - len(": \n")))


def test_the_bound_of_the_first_block():
    with pytest.raises(BufferError):
        Sse(max_pending=12)
    assert six.text_type(Sse(max_pending=13)) == "retry: 2000\n\n"


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


def test_what_is_left_when_some_was_read_counts():
    sse = Sse(None, max_pending=100)
    block = "x" * (30 - len(b"data: \n\n"))
    for _ in range(3):
        sse.add_message(None, block)
    next(iter(sse))     # takes one block
    sse.add_message(None, block)
    with pytest.raises(BufferError):
        sse.add_message(None, block)
    assert len(bytes(sse)) == 90


@pytest.mark.usefixtures("tiny_switch_interval")
def test_the_bound_is_exact_under_several_writers():
    sse = Sse(default_retry=None, max_pending=1000)
    size = len(b"event: e\ndata: xxxxx\n\n")
    refused = []
    threads = Threads()

    def add():
        for _ in range(600):
            try:
                sse.add_message("e", "xxxxx")
            except BufferError:
                refused.append(1)

    for _ in range(WRITERS):
        threads.start(add)
    threads.join()
    assert len(sse.data_to_send()) == 1000 // size * size
    assert len(refused) == WRITERS * 600 - 1000 // size


@pytest.mark.usefixtures("tiny_switch_interval")
def test_the_bound_holds_while_a_reader_reads():
    sse = Sse(default_retry=None, max_pending=500)
    threads = Threads()
    added = []

    def add():
        for _ in range(2000):
            try:
                sse.add_message("e", "xxxxx")
                added.append(1)
            except BufferError:
                pass

    writers = [threads.start(add) for _ in range(WRITERS)]
    events = 0
    while any(writer.is_alive() for writer in writers):
        chunk = sse.data_to_send()
        events += chunk.count(b"\n\n")
    threads.join()
    events += sse.data_to_send().count(b"\n\n")
    assert events == len(added)
    # All that is freed can be used again.
    sse.add_comment("x" * (500 - len(b": \n")))


def test_no_room_for_a_message_whose_id_another_thread_took():
    """As test_moments.py finds it, but where coverage is measured."""
    class Taken(list):
        def pop(self):
            raise IndexError

    sse = Sse(default_retry=None, max_pending=5)
    sse._pending_id = Taken([b"id: 7\n\n"])
    with pytest.raises(BufferError):
        sse.add_message("e", "x")
    assert sse.data_to_send() == b""
