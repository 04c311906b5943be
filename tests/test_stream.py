"""stream(), close() and closed."""

import threading
import time

import pytest
import six

from sse import Sse
from support import COMMENT, FOREVER


def test_the_first_chunk_comes_at_once(stream_of):
    assert next(stream_of(Sse(default_retry=None))) == COMMENT
    assert next(stream_of(Sse())) == b"retry: 2000\n\n"


def test_without_keepalive_there_is_no_comment():
    """google-genai fails at a comment, others at a blank line. An empty chunk upsets nobody."""
    sse = Sse(default_retry=None)
    stream = sse.stream(keepalive=None)
    assert next(stream) == b""
    sse.add_message("a", "1")
    assert next(stream) == b"event: a\ndata: 1\n\n"
    sse.close()
    assert list(stream) == []
    assert next(Sse().stream(keepalive=None)) == b"retry: 2000\n\n"


def test_one_chunk_for_all_that_is_pending(stream_of):
    sse = Sse()
    sse.add_message("a", "1")
    sse.add_comment("c")
    sse.add_message("b", "2", event_id=2)
    sse.set_event_id(3)
    stream = stream_of(sse)
    assert next(stream) == (b"retry: 2000\n\nevent: a\ndata: 1\n\n: c\n"
                            b"event: b\ndata: 2\nid: 2\n\nid: 3\n\n")


@pytest.mark.parametrize("size, chunks", [(65535, 1), (65536, 2), (65537, 2)])
def test_a_chunk_ends_with_the_block_that_reaches_64_kib(size, chunks, stream_of):
    sse = Sse(None)
    sse.add_message(None, "x" * (size - len("data: \n\n")))
    sse.add_message(None, "next")
    sse.close()
    sent = list(stream_of(sse))
    assert len(sent) == chunks and sent[-1].endswith(b"data: next\n\n")


def test_what_is_added_comes_at_once_each_time(stream_of, reading):
    sse, reader = reading
    for number in range(2000):
        sse.add_message(None, "%d" % number)
        assert reader.get() == ("data: %d\n\n" % number).encode()


def test_all_that_adds_wakes_the_stream(stream_of, reading):
    sse, reader = reading
    sse.set_retry(5)
    assert reader.get() == b"retry: 5\n\n"
    sse.add_comment("x")
    assert reader.get() == b": x\n"
    sse.add_event_foo("x", event_id=1)
    assert reader.get() == b"event: foo\ndata: x\nid: 1\n\n"


def test_comments_while_nothing_is_added(stream_of):
    sse = Sse(default_retry=None)
    start = time.time()
    stream = stream_of(sse, keepalive=0.05)
    assert [next(stream) for _ in range(4)] == [COMMENT] * 4
    assert time.time() - start > 0.14
    sse.add_message("a", "1")
    assert next(stream) == b"event: a\ndata: 1\n\n"
    assert next(stream) == COMMENT


def test_what_is_taken_by_another_reader_wakes_for_nothing(stream_of, reading):
    sse, reader = reading
    for _ in range(100):
        sse.add_message("a", "1")
        sse.flush()
    sse.add_message("b", "2")
    chunks = list(iter(reader.get, b"event: b\ndata: 2\n\n"))
    assert COMMENT not in chunks


@pytest.mark.parametrize("keepalive, error", [
    ("5", TypeError), (b"15", TypeError), (True, TypeError), (False, TypeError), ([], TypeError),
    (1j, TypeError), (0, ValueError), (-1, ValueError), (0.0, ValueError), (2147484, ValueError),
    (10 ** 400, ValueError), (float("nan"), ValueError), (float("inf"), ValueError),
])
def test_keepalive_is_refused_at_the_call(keepalive, error, stream_of):
    sse = Sse()
    with pytest.raises(error) as info:
        stream_of(sse, keepalive)
    assert "keepalive" in str(info.value)
    assert not sse.closed
    assert next(stream_of(sse)) == b"retry: 2000\n\n"


@pytest.mark.parametrize("keepalive", [None, 0.001, 2147483, 15.5])
def test_keepalive_is_taken(keepalive, stream_of):
    assert next(stream_of(Sse(), keepalive=keepalive)) == b"retry: 2000\n\n"


@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_closing_the_iterator_closes(chunks, stream_of):
    sse = Sse()
    stream = stream_of(sse, keepalive=0.01)
    for _ in range(chunks):
        next(stream)
    assert not sse.closed
    stream.close()
    assert sse.closed
    assert list(stream) == []


def test_it_ends_after_close_with_what_is_pending(stream_of):
    sse = Sse(default_retry=None)
    stream = stream_of(sse, FOREVER)
    assert next(stream) == COMMENT
    sse.add_message("a", "1")
    sse.set_event_id("7")
    sse.close()
    sse.close()
    assert sse.closed
    assert list(stream) == [b"event: a\ndata: 1\n\nid: 7\n\n"]
    assert list(stream) == []
    assert list(stream_of(sse)) == [COMMENT]


def test_a_pending_id_alone_is_sent_before_the_end(stream_of):
    sse = Sse(default_retry=None)
    stream = stream_of(sse, FOREVER)
    next(stream)
    sse.set_event_id("7")
    sse.close()
    assert list(stream) == [b"id: 7\n\n"]


@pytest.mark.parametrize("call", [
    lambda sse: sse.set_retry(5),
    lambda sse: sse.set_event_id(5),
    lambda sse: sse.reset_event_id(),
    lambda sse: sse.add_message("e", "x"),
    lambda sse: sse.add_message("e", "x", event_id=9),
    lambda sse: sse.add_comment(),
])
@pytest.mark.parametrize("max_pending", [None, 1000])
def test_adding_after_close_is_refused(call, max_pending):
    sse = Sse(max_pending=max_pending)
    sse.set_event_id("4")
    before = six.text_type(sse)
    sse.close()
    with pytest.raises(ValueError) as info:
        call(sse)
    assert "closed" in str(info.value)
    assert six.text_type(sse) == before == "retry: 2000\n\nid: 4\n\n"
    assert "".join(sse) == before


def test_one_stream_at_a_time(stream_of):
    sse = Sse()
    stream = stream_of(sse)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            stream_of(sse)
    with pytest.raises(RuntimeError):
        sse({"REQUEST_METHOD": "GET"}, None)
    assert next(stream) == b"retry: 2000\n\n"
    stream.close()
    assert list(stream_of(sse)) == [COMMENT]


def test_a_pending_id_wakes_nobody(stream_of, reading):
    sse, reader = reading
    sse.add_message("a", "1")
    assert reader.get() == b"event: a\ndata: 1\n\n"
    sse.set_event_id("7")
    assert reader.nothing_for(0.2)
    sse.add_message("b", "2")
    assert reader.get() == b"event: b\ndata: 2\nid: 7\n\n"
    sse.set_event_id("8")
    sse.add_comment()
    assert reader.get() == b": \nid: 8\n\n"


def test_a_pending_id_stays_for_its_message_after_a_chunk(stream_of):
    sse = Sse(default_retry=None)
    stream = stream_of(sse, keepalive=FOREVER)
    next(stream)
    sse.set_event_id("7")
    adder = threading.Timer(0.1, sse.add_message, ("a", "1"))
    adder.start()
    assert next(stream) == b"event: a\ndata: 1\nid: 7\n\n"
    adder.join()


def test_a_pending_id_is_sent_in_place_of_the_comment(stream_of):
    sse = Sse(default_retry=None)
    stream = stream_of(sse, keepalive=0.05)
    next(stream)
    sse.set_event_id("7")
    assert next(stream) == b"id: 7\n\n"
    assert next(stream) == COMMENT


def test_a_stream_that_is_dropped_takes_no_lock(monkeypatch):
    """A finalizer may run while its own thread is in `Event.set`."""
    class Event(threading.Event().__class__):
        def set(self):
            raise AssertionError("it takes a lock")

    monkeypatch.setattr(threading, "Event", Event)
    sse = Sse()
    stream = sse.stream()
    next(stream)
    stream.close()
    assert sse.closed


if hasattr(time, "process_time"):
    def test_an_idle_stream_costs_no_cpu(stream_of, reading):
        sse, reader = reading
        costs = []
        while len(costs) < 5 and min(costs or [1]) > 0.001:     # other threads may cost, too
            before = time.process_time()
            assert reader.nothing_for(0.5)
            costs.append(time.process_time() - before)
        assert min(costs) < 0.005
