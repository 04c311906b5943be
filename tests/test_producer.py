"""`stream(producer=...)`: an answer that a thread makes while it is streamed."""

from __future__ import unicode_literals

import gc
import sys
import threading

import pytest
from six.moves import queue

from sse import Closed, Sse
from support import COMMENT, FOREVER, Threads

pytestmark = pytest.mark.native

try:
    import contextvars
except ImportError:
    contextvars = None


class StopAsyncIteration(Exception):
    """Known by its name: Python 2 has none."""


class CancelledError(Exception):
    """As asyncio and concurrent.futures have one each."""


class Custom(CancelledError):
    pass


def read(sse, producer):
    """All that a stream sends but comments, and what it raises in the end."""
    chunks = []
    raised = None
    try:
        for chunk in sse.stream(producer=producer):
            chunks.append(chunk)
    except BaseException as error:
        raised = error
    return b"".join(chunks).replace(COMMENT, b""), raised


def fails(error):
    def producer(sse):
        sse.add_message(None, "part")
        raise error
    return producer


def test_all_that_it_adds_is_sent_and_then_the_stream_ends():
    def producer(sse):
        for number in range(1000):
            sse.add_message(None, "%d" % number)

    sse = Sse()
    sent, error = read(sse, producer)
    assert sent == b"retry: 2000\n\n" + b"".join(
        ("data: %d\n\n" % number).encode() for number in range(1000))
    assert error is None and sse.closed


def test_it_runs_from_the_first_chunk_on_in_a_daemon_thread_of_its_own():
    begun = []

    def producer(sse):
        begun.append(threading.current_thread())

    stream = Sse().stream(producer=producer)
    assert not begun
    assert b"".join(stream) == b"retry: 2000\n\n"
    assert begun[0].daemon and begun[0] is not threading.current_thread()
    assert len(begun) == 1


def test_comments_from_the_first_chunk_on_while_it_is_silent():
    go_on = threading.Event()
    stream = Sse(None).stream(keepalive=0.01, producer=lambda sse: go_on.wait(FOREVER) and None)
    assert [next(stream) for _ in range(4)] == [COMMENT] * 4
    go_on.set()
    assert set(stream) <= {COMMENT}


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), SystemExit(3), MemoryError()])
def test_an_error_is_raised_after_what_was_added(error):
    sse = Sse(None)
    sent, raised = read(sse, fails(error))
    assert sent == b"data: part\n\n"
    assert raised is error
    assert sse.closed


def test_an_error_shows_the_line_of_the_producer():
    try:
        list(Sse().stream(producer=fails(KeyError("x"))))
    except KeyError:
        traceback = sys.exc_info()[2]
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    assert traceback.tb_frame.f_code.co_name == "producer"


@pytest.mark.parametrize("error", [
    StopIteration(), GeneratorExit(), StopAsyncIteration(), CancelledError(), Custom(),
], ids=repr)
def test_an_error_that_would_look_like_a_complete_answer(error):
    sent, raised = read(Sse(None), fails(error))
    assert sent == b"data: part\n\n"
    assert type(raised) is RuntimeError and raised.__cause__ is error
    assert str(raised) == "producer raised " + type(error).__name__


def test_closed_ends_it_quietly_if_it_is_this_one_that_is_closed():
    def producer(sse):
        sse.add_message(None, "part")
        sse.close()
        sse.add_message(None, "more")

    assert read(Sse(None), producer) == (b"data: part\n\n", None)
    other = Sse()
    other.close()
    assert type(read(Sse(None), lambda sse: other.add_message(None, "x"))[1]) is Closed


def test_another_error_than_closed_once_it_is_closed():
    threads = queue.Queue()

    def producer(sse):
        threads.put(threading.current_thread())
        sse.close()
        raise ArithmeticError

    stream = Sse(None).stream(producer=producer)
    assert next(stream) == COMMENT
    threads.get(timeout=FOREVER).join(FOREVER)
    with pytest.raises(ArithmeticError):
        list(stream)


def generator(sse):
    sse.add_message(None, "never")
    yield


@pytest.mark.parametrize("producer", [generator, lambda sse: 0, lambda sse: []])
def test_what_does_not_return_none(producer):
    sse = Sse(None)
    sent, error = read(sse, producer)
    assert type(error) is TypeError and "producer must return None" in str(error)
    assert sent == b"" and sse.closed


@pytest.mark.parametrize("producer", [0, "x", generator(None)])
def test_what_cannot_be_called(producer):
    sse = Sse()
    with pytest.raises(TypeError) as info:
        sse.stream(producer=producer)
    assert str(info.value) == "producer must be a function, not " + type(producer).__name__
    assert next(sse.stream()) == b"retry: 2000\n\n"


class Falsy(object):
    def __bool__(self):
        return False

    __nonzero__ = __bool__

    def __call__(self, sse):
        sse.add_message(None, "x")


def test_a_callable_object_that_is_false():
    assert b"data: x\n\n" in read(Sse(), Falsy())[0]


def test_it_is_not_run_if_the_sse_is_closed():
    sse = Sse()
    sse.close()
    begun = []
    assert read(sse, begun.append) == (b"retry: 2000\n\n", None)
    assert not begun


def test_it_is_not_run_if_the_stream_is_closed_before_its_first_chunk():
    sse = Sse()
    sse.stream(producer=fails(ValueError())).close()
    assert sse.closed and bytes(sse) == b"retry: 2000\n\n"


@pytest.fixture
def listen(monkeypatch, capsys):
    """A function; what it gives says what is printed from then on of the errors of threads."""
    def listen():
        errors = []
        if hasattr(threading, "excepthook"):
            # Not before the test: on Python 3.8 pytest sets one then.
            monkeypatch.setattr(threading, "excepthook",
                                lambda args: errors.append(repr(args.exc_value)))
        return lambda: "".join(errors) + capsys.readouterr()[1]
    return listen


@pytest.mark.parametrize("another_stream", [False, True])
def test_an_error_that_nobody_reads_is_printed(another_stream, listen):
    """As that of any thread."""
    printed = listen()
    disconnected = threading.Event()
    threads = queue.Queue()

    def producer(sse):
        threads.put(threading.current_thread())
        disconnected.wait(FOREVER)
        raise KeyError("nobody reads this")

    sse = Sse()
    stream = sse.stream(producer=producer)
    next(stream)
    stream.close()
    if another_stream:
        stream = sse.stream()
    disconnected.set()
    threads.get(timeout=FOREVER).join(FOREVER)
    assert "nobody reads this" in printed()


class EndsMeanwhile(Sse):
    """Its stream ends just before or after the producer has looked whether it is there."""

    looked = None

    def __getattribute__(self, name):
        get = super(EndsMeanwhile, self).__getattribute__
        value = get(name)
        if name == "_wake" and threading.current_thread() is self.thread and not self.looked:
            self.looked = True
            self.close()
            self.ended.wait(FOREVER)
            if self.moment == "before":
                value = get(name)
        return value


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_error_just_when_the_stream_ends_is_told_once(moment, listen):
    printed = listen()
    sse = EndsMeanwhile(None)
    sse.moment = moment
    sse.thread = None
    sse.ended = threading.Event()

    def producer(sse):
        sse.thread = threading.current_thread()
        raise KeyError("x")

    _, error = read(sse, producer)
    thread = sse.thread
    sse.ended.set()
    thread.join(FOREVER)
    assert isinstance(error, KeyError) and not printed()


class FailsMeanwhile(Sse):
    """Its producer fails just before its stream, which ends, removes the hook."""

    def __delattr__(self, name):
        self.ending.set()
        self.thread.join(FOREVER)
        super(FailsMeanwhile, self).__delattr__(name)


def test_an_error_just_before_the_stream_removes_its_hook_is_raised():
    sse = FailsMeanwhile(None)
    sse.ending = threading.Event()

    def producer(sse):
        sse.thread = threading.current_thread()
        sse.close()
        sse.ending.wait(FOREVER)
        raise KeyError("x")

    assert type(read(sse, producer)[1]) is KeyError


def test_an_error_after_close_is_not_waited_for():
    go_on = threading.Event()
    sse = Sse(None)
    stream = sse.stream(producer=lambda sse: go_on.wait(FOREVER) and None)
    next(stream)
    sse.close()
    assert list(stream) == []
    go_on.set()


if contextvars is not None:
    def test_its_context_is_a_copy_of_the_callers():
        variable = contextvars.ContextVar("variable")
        seen = []

        def producer(sse):
            seen.append(variable.get())
            variable.set("of the producer")

        variable.set("of the caller")
        stream = Sse().stream(producer=producer)
        variable.set("later")
        list(stream)
        assert seen == ["of the caller"]
        assert variable.get() == "later"


# -- drain -------------------------------------------------------------------------------

BIG = "x" * 10000
BLOCK = b"data: x\n\n"


class Seen(Sse):
    """It tells `seen` when a producer waits in `drain`."""

    def _full(self, wake=None):
        full = super(Seen, self)._full(wake)
        if full and wake is not None:
            self.seen.set()
        return full


class Producing(object):
    """A producer of some rows, and its stream. The first chunk, which is empty, is read."""

    error = None
    most = 0

    def __init__(self, sse, rows=100):
        self.rows = rows
        self.go = threading.Event()
        self.ended = threading.Event()
        self.sse = sse
        sse.seen = threading.Event()
        self.stream = sse.stream(None, producer=self.produce)
        assert next(self.stream) == b""
        self.go.set()

    def produce(self, sse):
        self.go.wait(FOREVER)
        try:
            for number in range(self.rows):
                sse.add_message(None, BIG)
                self.most = max(self.most, len(bytes(sse)))
                sse.drain()
        except Exception as error:
            self.error = error
            raise
        finally:
            self.ended.set()


@pytest.mark.parametrize("max_pending", [None, 20000, 10 ** 6])
def test_drain_waits_for_the_client(max_pending):
    """A bound that has room for no more than one row is kept, too."""
    producer = Producing(Seen(None, max_pending))
    assert producer.sse.seen.wait(FOREVER)
    assert not producer.ended.is_set()
    sent = b"".join(producer.stream)
    assert sent.count(b"data: " + BIG.encode()) == 100
    assert producer.error is None
    # No more than was left by the last drain, and one more.
    assert producer.most <= 16384 + len(BIG) + len(b"data: \n\n")


def test_drain_lets_small_blocks_share_a_chunk():
    def producer(sse):
        for _ in range(10000):
            sse.add_message(None, "x")
            sse.drain()

    chunks = list(Sse(None).stream(producer=producer))
    assert b"".join(chunks).replace(COMMENT, b"") == BLOCK * 10000
    assert max(map(len, chunks)) <= 16384 + len(BLOCK)


@pytest.mark.parametrize("end", [
    lambda producer: producer.stream.close(), lambda producer: vars(producer).pop("stream"),
    lambda producer: producer.sse.close(),
], ids=["closed stream", "discarded stream", "closed Sse"])
def test_drain_raises_closed_once_nobody_reads(end):
    producer = Producing(Seen(None))
    assert producer.sse.seen.wait(FOREVER)
    end(producer)
    gc.collect()
    assert producer.ended.wait(FOREVER)
    assert type(producer.error) is Closed
    with pytest.raises(Closed):
        producer.sse.drain()


def test_flush_wakes_who_waits():
    producer = Producing(Seen(None), rows=2)
    assert producer.sse.seen.wait(FOREVER)
    producer.sse.flush()
    assert producer.ended.wait(FOREVER) and producer.error is None


def test_all_who_wait_are_woken():
    sse = Seen(None)
    sse.seen = threading.Semaphore(0)
    sse.seen.set = sse.seen.release
    stream = sse.stream(None)
    sse.add_message(None, BIG * 2)
    threads = Threads()
    for _ in range(3):
        threads.start(sse.drain)
    for _ in range(3):
        sse.seen.acquire()
    next(stream)
    threads.join()


def test_who_is_woken_looks_again():
    sse = Seen(None)
    sse.seen = threading.Event()
    stream = sse.stream(None)
    for _ in range(20):
        sse.add_message(None, BIG)
    ended = threading.Event()
    threads = Threads()
    threads.start(lambda: [sse.drain(), ended.set()])
    assert sse.seen.wait(FOREVER)
    sse.seen.clear()
    next(stream)
    assert sse.seen.wait(FOREVER) and not ended.is_set()    # two chunks are left
    sse.flush()
    threads.join()


def test_drain_needs_a_stream():
    sse = Sse()
    with pytest.raises(RuntimeError) as caught:
        sse.drain()
    assert str(caught.value) == "drain() needs an open stream"


class TakenMeanwhile(Sse):
    """All is taken just before or just after `drain` looks for the second time."""

    def _full(self, wake=None):
        if wake is not None and self.moment == "before":
            next(self.chunks)
        return super(TakenMeanwhile, self)._full(wake)

    def _pending(self):
        pending = super(TakenMeanwhile, self)._pending()
        if len(self._waiting) and self.moment == "after":
            next(self.chunks)
        return pending


@pytest.mark.parametrize("moment", ["before", "after"])
def test_what_is_taken_while_it_looks(moment):
    sse = TakenMeanwhile(None)
    sse.moment = moment
    sse.chunks = sse.stream(None)
    sse.add_message(None, BIG * 2)
    threads = Threads()
    threads.start(sse.drain)
    threads.join()
    assert not bytes(sse)


def test_who_waits_again_is_not_woken_again_at_once():
    """A stream would wake it for ever, and the client would get nothing."""
    woken = []

    def wake():
        woken.append(1)
        assert sse.closed or sse._full(wake) and len(woken) < 9

    sse = Sse(None)
    stream = sse.stream(None)
    for _ in range(20):
        sse.add_message(None, BIG)
    assert sse._full(wake)
    next(stream)
    assert woken == [1]


class LooksAgain(Seen):
    """Its stream goes on when the producer that it has woken has looked again."""

    def _full(self, wake=None):
        full = super(LooksAgain, self)._full(wake)
        if self.woken.is_set():
            self.looked.set()
        return full

    def _drained(self):
        super(LooksAgain, self)._drained()
        self.woken.set()
        self.looked.wait(FOREVER)


def test_a_stream_takes_before_it_wakes():
    sse = LooksAgain(None)
    sse.woken, sse.looked = threading.Event(), threading.Event()
    producer = Producing(sse)
    threads = Threads()
    threads.start(list, producer.stream)
    threads.join()
    assert producer.ended.wait(FOREVER) and producer.error is None
