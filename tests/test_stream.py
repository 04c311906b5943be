"""Live streams: stream(), close(), closed, the WSGI application, max_pending."""

import collections
import copy
import pickle
import sys
import threading
import time

import pytest
import six
from six.moves import queue
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from sse import HEADERS, Sse

try:
    import tracemalloc
except ImportError:
    tracemalloc = None

COMMENT = b": \n"
FOREVER = 60


class Reader(object):
    """A thread that reads a stream; `get` waits for its next chunk."""

    def __init__(self, stream):
        self.chunks = queue.Queue()
        self.thread = threading.Thread(target=self.read, args=(stream,))
        self.thread.daemon = True
        self.thread.start()

    def read(self, stream):
        for chunk in stream:
            self.chunks.put(chunk)
        self.chunks.put(None)

    def get(self, seconds=FOREVER):
        return self.chunks.get(timeout=seconds)

    def nothing_for(self, seconds):
        with pytest.raises(queue.Empty):
            self.get(seconds)
        return True


def test_the_first_chunk_comes_at_once():
    assert next(Sse(default_retry=None).stream(keepalive=None)) == COMMENT
    assert next(Sse().stream(keepalive=None)) == b"retry: 2000\n\n"


def test_one_chunk_for_all_that_waits():
    sse = Sse()
    sse.add_message("a", "1")
    sse.add_comment("c")
    sse.add_message("b", "2", event_id=2)
    sse.set_event_id(3)
    stream = sse.stream()
    assert next(stream) == (b"retry: 2000\n\nevent: a\ndata: 1\n\n: c\n"
                            b"event: b\ndata: 2\nid: 2\n\nid: 3\n\n")


def test_what_is_added_comes_at_once_each_time():
    sse = Sse(default_retry=None)
    reader = Reader(sse.stream(keepalive=None))
    assert reader.get() == COMMENT
    for number in range(2000):
        sse.add_message(None, "%d" % number)
        assert reader.get() == ("data: %d\n\n" % number).encode()
    sse.close()
    assert reader.get() is None


@pytest.mark.parametrize("add, chunk", [
    (lambda sse: sse.set_retry(5), b"retry: 5\n\n"),
    (lambda sse: sse.add_comment("x"), b": x\n"),
    (lambda sse: sse.add_json("j", [1]), b"event: j\ndata: [1]\n\n"),
    (lambda sse: sse.add_event_foo("x", event_id=1), b"event: foo\ndata: x\nid: 1\n\n"),
])
def test_all_that_adds_wakes_the_stream(add, chunk):
    sse = Sse(default_retry=None)
    reader = Reader(sse.stream(keepalive=None))
    assert reader.get() == COMMENT
    add(sse)
    assert reader.get() == chunk
    sse.close()


def test_comments_while_nothing_is_added():
    sse = Sse(default_retry=None)
    start = time.time()
    stream = sse.stream(keepalive=0.05)
    assert [next(stream) for _ in range(4)] == [COMMENT] * 4
    assert time.time() - start > 0.14
    sse.add_message("a", "1")
    assert next(stream) == b"event: a\ndata: 1\n\n"
    assert next(stream) == COMMENT


def test_no_comments_with_none():
    sse = Sse(default_retry=None)
    reader = Reader(sse.stream(keepalive=None))
    assert reader.get() == COMMENT
    assert reader.nothing_for(0.3)
    sse.close()
    assert reader.get() is None


def test_what_is_taken_by_another_reader_wakes_for_nothing():
    sse = Sse(default_retry=None)
    reader = Reader(sse.stream(keepalive=None))
    assert reader.get() == COMMENT
    for _ in range(100):
        sse.add_message("a", "1")
        sse.flush()
    sse.add_message("b", "2")
    sse.close()
    chunks = list(iter(reader.get, None))
    assert b"".join(chunks).endswith(b"event: b\ndata: 2\n\n")
    assert COMMENT not in chunks


@pytest.mark.parametrize("keepalive, error", [
    ("15", TypeError), (b"15", TypeError), (True, TypeError), (False, TypeError),
    ([15], TypeError), (object(), TypeError), (1j, TypeError),
    (0, ValueError), (0.0, ValueError), (-1, ValueError), (float("nan"), ValueError),
    (float("inf"), ValueError), (2147484, ValueError), (10 ** 400, ValueError),
])
def test_keepalive_is_refused_at_the_call(keepalive, error):
    sse = Sse()
    with pytest.raises(error) as info:
        sse.stream(keepalive)
    assert "keepalive" in str(info.value)
    assert not sse.closed
    assert next(sse.stream()) == b"retry: 2000\n\n"


@pytest.mark.parametrize("keepalive", [None, 1, 0.001, 2147483, 15.5])
def test_keepalive_is_taken(keepalive):
    assert next(Sse().stream(keepalive=keepalive)) == b"retry: 2000\n\n"


@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_closing_the_iterator_closes(chunks):
    sse = Sse()
    stream = sse.stream(keepalive=0.01)
    for _ in range(chunks):
        next(stream)
    assert not sse.closed
    stream.close()
    assert sse.closed
    assert list(stream) == []


def test_it_ends_after_close_with_what_waits():
    sse = Sse(default_retry=None)
    stream = sse.stream(keepalive=None)
    assert next(stream) == COMMENT
    sse.add_message("a", "1")
    sse.close()
    assert sse.closed
    assert list(stream) == [b"event: a\ndata: 1\n\n"]
    assert list(stream) == []


def test_a_kept_id_goes_out_before_the_end():
    sse = Sse(default_retry=None)
    stream = sse.stream(keepalive=None)
    next(stream)
    sse.set_event_id("7")
    sse.close()
    assert list(stream) == [b"id: 7\n\n"]


def test_closed_before_it_is_streamed():
    sse = Sse()
    sse.add_message("a", "1")
    sse.close()
    sse.close()
    assert b"".join(sse.stream()) == b"retry: 2000\n\nevent: a\ndata: 1\n\n"
    assert list(sse.stream()) == [COMMENT]


@pytest.mark.parametrize("call", [
    lambda sse: sse.set_retry(5),
    lambda sse: sse.set_event_id(5),
    lambda sse: sse.reset_event_id(),
    lambda sse: sse.add_message("e", "x"),
    lambda sse: sse.add_message("e", "x", event_id=9),
    lambda sse: sse.add_event_foo("x"),
    lambda sse: sse.add_json("e", 1),
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


def test_one_stream_at_a_time():
    sse = Sse()
    stream = sse.stream()
    for _ in range(2):
        with pytest.raises(RuntimeError):
            sse.stream()
    with pytest.raises(RuntimeError):
        sse({"REQUEST_METHOD": "GET"}, None)
    assert next(stream) == b"retry: 2000\n\n"
    stream.close()
    assert list(sse.stream()) == [COMMENT]


def test_a_kept_id_wakes_nobody():
    sse = Sse(default_retry=None)
    reader = Reader(sse.stream(keepalive=None))
    assert reader.get() == COMMENT
    sse.set_event_id("7")
    assert reader.nothing_for(0.2)
    sse.add_message("a", "1")
    assert reader.get() == b"event: a\ndata: 1\nid: 7\n\n"
    sse.set_event_id("8")
    sse.add_comment()
    assert reader.get() == b": \nid: 8\n\n"
    sse.close()


def test_a_kept_id_stays_for_its_message_after_a_chunk():
    sse = Sse(default_retry=None)
    stream = sse.stream(keepalive=FOREVER)
    next(stream)
    sse.add_message("a", "1")
    assert next(stream) == b"event: a\ndata: 1\n\n"
    sse.set_event_id("7")
    adder = threading.Timer(0.1, sse.add_message, ("b", "2"))
    adder.start()
    assert next(stream) == b"event: b\ndata: 2\nid: 7\n\n"
    adder.join()


def test_a_kept_id_leaves_in_place_of_the_comment():
    sse = Sse(default_retry=None)
    stream = sse.stream(keepalive=0.05)
    next(stream)
    sse.set_event_id("7")
    assert next(stream) == b"id: 7\n\n"
    assert next(stream) == COMMENT


class ClosesAfterAppend(collections.deque):
    """Another thread that closes, and may read, just after the append of a writer."""

    def append(self, block):
        collections.deque.append(self, block)
        self.sse.close()
        self.read()


@pytest.mark.parametrize("max_pending", [None, 1000])
@pytest.mark.parametrize("add", [
    lambda sse: sse.add_message("e", "x"), lambda sse: sse.add_comment("x")])
def test_closed_by_another_thread_within_an_add(add, max_pending):
    sse = Sse(default_retry=None, max_pending=max_pending)
    sse._buffer = ClosesAfterAppend()
    sse._buffer.sse = sse
    sse._buffer.read = lambda: None
    with pytest.raises(ValueError):
        add(sse)
    assert sse.data_to_send() == b""
    assert sse._pending == 0


def test_closed_within_an_add_whose_block_was_read():
    sse = Sse(default_retry=None)
    read = []
    sse._buffer = ClosesAfterAppend()
    sse._buffer.sse = sse
    sse._buffer.read = lambda: read.append(sse.data_to_send())
    sse.add_message("e", "x")
    assert read == [b"event: e\ndata: x\n\n"]


class BeginsAStream(collections.deque):
    """A stream that begins, and finds nothing, just before the append of a writer."""

    def append(self, block):
        self.reader = Reader(self.sse.stream(keepalive=None))
        assert self.reader.get() == COMMENT
        collections.deque.append(self, block)


@pytest.mark.threads
def test_a_stream_that_begins_within_an_add_is_woken():
    sse = Sse(default_retry=None)
    buffer = sse._buffer = BeginsAStream()
    buffer.sse = sse
    sse.add_message("e", "x")
    assert buffer.reader.get() == b"event: e\ndata: x\n\n"
    sse.close()


def start_response(status, headers, exc_info=None):
    start_response.called = status, headers


def environ(method):
    result = {"REQUEST_METHOD": str(method), "QUERY_STRING": str("")}
    setup_testing_defaults(result)
    return result


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_the_wsgi_application(method):
    sse = Sse()
    sse.add_message("a", "1")
    response = validator(sse)(environ(method), start_response)
    assert next(iter(response)) == b"retry: 2000\n\nevent: a\ndata: 1\n\n"
    assert start_response.called == ("200 OK", list(HEADERS))
    assert not sse.closed
    response.close()
    assert sse.closed


def test_the_wsgi_application_to_head():
    sse = Sse()
    response = validator(sse)(environ("HEAD"), start_response)
    assert list(response) == []
    response.close()
    assert start_response.called == ("200 OK", list(HEADERS))
    assert sse.closed


def test_headers_are_native_strings():
    assert HEADERS == (
        ("Content-Type", "text/event-stream"),
        ("Cache-Control", "no-store, no-transform"),
        ("X-Accel-Buffering", "no"),
    )
    assert all(type(part) is str for pair in HEADERS for part in pair)


@pytest.mark.parametrize("max_pending, error", [
    ("5", TypeError), (5.0, TypeError), (True, TypeError), ([], TypeError),
    (0, ValueError), (-1, ValueError), (-10 ** 30, ValueError),
])
def test_max_pending_is_refused(max_pending, error):
    with pytest.raises(error) as info:
        Sse(max_pending=max_pending)
    assert "max_pending" in str(info.value)


ADDS = [
    (lambda sse: sse.set_retry(5), "retry: 5\n\n"),
    (lambda sse: sse.set_event_id("77"), "id: 77\n\n"),
    (lambda sse: sse.reset_event_id(), "id\n\n"),
    (lambda sse: sse.add_message("e", u"\u20ac\r\nx"), u"event: e\ndata: \u20ac\ndata: x\n\n"),
    (lambda sse: sse.add_message("e", "x", event_id=5), "event: e\ndata: x\nid: 5\n\n"),
    (lambda sse: sse.add_json("e", [1, 2]), "event: e\ndata: [1,2]\n\n"),
    (lambda sse: sse.add_comment(u"\xe9\n"), u": \xe9\n: \n"),
]


@pytest.mark.parametrize("add, text", ADDS)
def test_the_bound_is_exact_to_the_byte(add, text):
    waiting = u"event: w\ndata: w\n\n"
    size = len((waiting + text).encode("utf-8"))
    for bound in (size, size - 1):
        sse = Sse(default_retry=None, max_pending=bound)
        sse.add_message("w", "w")
        if bound == size:
            add(sse)
            assert six.text_type(sse) == waiting + text
        else:
            with pytest.raises(BufferError) as info:
                add(sse)
            assert str(size) in str(info.value) and str(bound) in str(info.value)
            assert six.text_type(sse) == waiting
        sse.flush()
        add(sse)
        assert six.text_type(sse) == text


@pytest.mark.parametrize("add, text", [
    # An id that is kept waits too: beside a comment or a retry, in the block of a message,
    # and not at all once another takes its place.
    (lambda sse: sse.add_comment("x"), ": x\nid: 1234\n\n"),
    (lambda sse: sse.set_retry(1), "retry: 1\n\nid: 1234\n\n"),
    (lambda sse: sse.add_message(None, "x"), "data: x\nid: 1234\n\n"),
    (lambda sse: sse.add_message(None, "x", event_id="9"), "data: x\nid: 9\n\n"),
    (lambda sse: sse.add_message(None, "x", event_id=""), "data: x\nid\n\n"),
    (lambda sse: sse.set_event_id("56789"), "id: 56789\n\n"),
    (lambda sse: sse.reset_event_id(), "id\n\n"),
])
def test_the_bound_counts_the_kept_id(add, text):
    for bound in (len(text), len(text) - 1):
        if bound < len("id: 1234\n\n"):
            continue
        sse = Sse(default_retry=None, max_pending=bound)
        sse.set_event_id("1234")
        if bound == len(text):
            add(sse)
            assert six.text_type(sse) == text
        else:
            with pytest.raises(BufferError):
                add(sse)
            assert six.text_type(sse) == "id: 1234\n\n"
            sse.flush()
            sse.add_comment("x" * (bound - len(": \n")))


def test_the_smallest_bound():
    sse = Sse(default_retry=None, max_pending=1)
    with pytest.raises(BufferError):
        sse.add_comment()


def test_the_bound_of_the_first_block():
    with pytest.raises(BufferError):
        Sse(max_pending=12)
    assert six.text_type(Sse(max_pending=13)) == "retry: 2000\n\n"


@pytest.mark.parametrize("take", [
    lambda sse: sse.data_to_send(), lambda sse: "".join(sse), lambda sse: sse.flush()])
def test_what_is_taken_makes_room(take):
    sse = Sse(default_retry=None, max_pending=20)
    for _ in range(3):
        sse.add_message(None, "x" * 12)
        with pytest.raises(BufferError):
            sse.add_comment()
        take(sse)
    sse.add_message(None, "x" * 12)


def test_what_is_streamed_makes_room():
    sse = Sse(default_retry=None, max_pending=20)
    stream = sse.stream()
    for _ in range(3):
        sse.add_message(None, "x" * 12)
        with pytest.raises(BufferError):
            sse.add_comment()
        next(stream)


@pytest.mark.parametrize("copied", [
    copy.copy, copy.deepcopy, lambda sse: pickle.loads(pickle.dumps(sse, 2))])
def test_a_copy_has_the_bound_but_not_the_stream(copied):
    sse = Sse(default_retry=None, max_pending=20)
    sse.add_message(None, "x" * 12)
    stream = sse.stream()
    twin = copied(sse)
    with pytest.raises(BufferError):
        twin.add_comment()
    streams = [stream, twin.stream()]
    assert [next(one) for one in streams] == [b"data: " + b"x" * 12 + b"\n\n"] * 2
    twin.add_message(None, "x" * 12)
    with pytest.raises(BufferError):
        twin.add_comment()
    stream.close()
    assert copied(sse).closed
    assert not twin.closed


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


if hasattr(time, "process_time"):
    def test_an_idle_stream_costs_no_cpu():
        sse = Sse(default_retry=None)
        reader = Reader(sse.stream(keepalive=None))
        assert reader.get() == COMMENT
        before = time.process_time()
        assert reader.nothing_for(2)
        assert time.process_time() - before < 0.01
        sse.close()
