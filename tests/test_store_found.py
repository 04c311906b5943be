"""A channel with a store: whatever a store gives, and whoever calls. Each was a fault."""

from __future__ import unicode_literals

import gc
import logging
import os
import threading
import time
import weakref

import pytest
from six.moves import _thread

import sse as module

from support import rows, silent

pytestmark = pytest.mark.native


class Memory(object):
    """A log in the memory of one process."""

    def __init__(self):
        self.rows = []
        self.changed = threading.Condition()
        self.other = []     # functions that make the next answers with an entry other ones

    def add(self, block, topics, keep):
        with self.changed:
            self.rows.append((len(self.rows) + 1, block, topics, keep))
            self.changed.notify_all()

    def newest(self):
        return "log", len(self.rows)

    def read(self, place, history):
        answer = self.answer(place, history)
        return self.other.pop()(*answer) if self.other and answer[2] else answer

    def answer(self, place, history):
        with self.changed:
            if place is None:
                kept = [row for row in self.rows if row[3]]
                base = kept[-history - 1][0] if len(kept) > history else 0
                return self.newest(), base, [row for row in kept if row[0] > base]
            if place == self.newest():
                self.changed.wait(0.1)
            return self.newest(), None, self.rows[place[1]:]


def following(**options):
    """A channel with a store, one open stream of it, and the store."""
    store = Memory()
    channel = silent(store=store, **options)
    sse = channel.open(topics="user:7")
    sse.flush()
    return channel, sse, store


def wait_for(sse, wire):
    """Wait until the stream got this."""
    woken = threading.Event()
    sse._wake = woken.set
    while wire not in bytes(sse):
        assert woken.wait(10)
        woken.clear()


def arrived(channel, sse):
    """What the stream got: close() waits for what was added before it."""
    channel.close()
    return bytes(sse)


@pytest.mark.parametrize("history, keep", rows(
    ("not kept", 5, False),
    ("neither", 0, False),
))
def test_what_an_add_took_is_not_too_large_to_be_sent(history, keep):
    channel, sse, store = following(history=history, max_pending=100)
    channel.add_message(None, "x" * (100 - len(b"data: \n\n")), keep=keep)
    assert len(arrived(channel, sse)) == 100


def test_an_add_counts_the_id_that_another_process_may_need():
    channel, sse, store = following(history=0, max_pending=100)
    with pytest.raises(BufferError):
        channel.add_message(None, "x" * (100 - len(b"data: \n\n")))
    channel.close()


@pytest.mark.parametrize("to_all", [True, False], ids=["channel", "topic"])
def test_close_sends_what_was_added_before(to_all):
    channel, sse, store = following()
    target = channel if to_all else channel.to("user:7")
    target.add_message(None, "logged out", keep=False)
    target.close()
    assert bytes(sse) == b"data: logged out\n\n"
    assert channel.closed == to_all


@pytest.mark.parametrize("topics", rows(
    ("text", "user:7"),
    ("bytes", b"user:7"),
    ("dict", {"u": 1, "user:7": 2}),
))
def test_topics_that_are_no_list_are_for_nobody(topics):
    channel, sse, store = following()
    letters = channel.open(topics=list("user:7"))
    letters.flush()
    store.add(b"data: secret\n\n", topics, True)
    channel.add_message(None, "next")
    channel.close()
    for stream in sse, letters:
        assert bytes(stream) == b"data: next\n\n"


@pytest.mark.parametrize("answer", rows(
    ("no three", lambda place, base, entries: (place, entries)),
    ("None", lambda place, base, entries: None),
    ("no place", lambda place, base, entries: (None, base, entries)),
    ("place: a number", lambda place, base, entries: (place[1], base, entries)),
    ("place: text", lambda place, base, entries: ("lo", base, entries)),
    ("number: text", lambda place, base, entries: (("log", "2"), base, entries)),
    ("number: bool", lambda place, base, entries: (("log", True), base, entries)),
    ("number: lower", lambda place, base, entries: (("log", 0), base, entries)),
    ("number: too long for an id", lambda place, base, entries: (("log", 10 ** 39), base, entries)),
    ("epoch: another", lambda place, base, entries: (("new", 2), base, entries)),
    ("epoch: empty", lambda place, base, entries: (("", 2), 0, entries)),
    ("epoch: no ASCII", lambda place, base, entries: (("l\xf6g", 2), 0, entries)),
    ("epoch: a field", lambda place, base, entries: (("x\nid: 7", 2), 0, entries)),
    ("epoch: too long", lambda place, base, entries: (("x" * 17, 2), 0, entries)),
    ("base: text", lambda place, base, entries: (place, "0", entries)),
    ("base: negative", lambda place, base, entries: (place, -1, entries)),
    ("base: after the place", lambda place, base, entries: (place, place[1] + 1, entries)),
    ("no entries", lambda place, base, entries: (place, base, None)),
    ("entries that end in an error", lambda place, base, entries: (place, base, (
        entry if number == 0 else 1 // 0 for number, entry in enumerate(entries * 2)))),
))
def test_an_answer_that_is_none_is_read_again(answer, monkeypatch):
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    channel, sse, store = following(history=5)
    channel.add_message(None, "0")
    wait_for(sse, b"data: 0")
    store.other = [answer]
    channel.add_message(None, "1")
    late = channel.open("log-1")
    channel.add_message(None, "2")
    wire = b"data: 1\nid: log-2\n\ndata: 2\nid: log-3\n\n"
    wait_for(sse, b"data: 2")
    assert bytes(sse) == b"data: 0\nid: log-1\n\n" + wire
    assert bytes(late) == wire


def test_a_first_answer_without_a_base():
    store = Memory()
    store.other = [lambda place, base, entries: (place, None, entries)]
    channel = silent(store=store, history=5)
    channel.add_message(None, "x")
    assert channel.open("log-0").closed


class Handler(logging.Handler):
    """A handler of what the follower logs, which calls `function`."""

    def __init__(self, function):
        super(Handler, self).__init__()
        self.function = function

    def emit(self, record):
        self.function()

    def __enter__(self):
        logging.getLogger("sse").addHandler(self)

    def __exit__(self, *error):
        logging.getLogger("sse").removeHandler(self)


@pytest.mark.parametrize("entry", rows(
    ("nothing", None),
    ("too few", (2, b"data: bad\n\n", None)),
    ("number: text", ("2", b"data: bad\n\n", None, True)),
    ("number: after the place", (10 ** 6, b"data: bad\n\n", None, True)),
    ("number: before", (0, b"data: bad\n\n", None, True)),
    ("block: text", (2, "data: bad\n\n", None, True)),
    ("block: bytearray", (2, bytearray(b"data: bad\n\n"), None, True)),
    ("block: an id", (2, b"data: bad\nid: 7\n\n", None, True)),
    ("block: half", (2, b"data: bad\n", None, True)),
    ("block: two", (2, b"data: bad\n\ndata: bad\n\n", None, True)),
    ("block: no UTF-8", (2, b"data: \xff\n\n", None, True)),
    ("block: a comment that is kept", (2, b": bad\n", None, True)),
    ("topics: a number", (2, b"data: bad\n\n", 7, True)),
    ("topics: None in them", (2, b"data: bad\n\n", [None, "user:7"], True)),
    ("keep: a number", (2, b"data: bad\n\n", None, 1)),
))
def test_an_entry_that_is_none_is_logged_and_passed_over(entry):
    channel, sse, store = following(history=5)
    channel.add_message(None, "0")
    wait_for(sse, b"data: 0")
    logged = []
    store.other = [lambda place, base, entries: (place, base, [entry] + entries)]
    with Handler(lambda: logged.append(1)):
        channel.add_message(None, "1")
        wait_for(sse, b"data: 1")
        channel.add_message(None, "2")
        wait_for(sse, b"data: 2")
    assert logged == [1]
    assert bytes(sse) == (b"data: 0\nid: log-1\n\ndata: 1\nid: log-2\n\n"
                          b"data: 2\nid: log-3\n\n")


def test_a_log_handler_is_not_called_under_the_lock():
    channel, sse, store = following()
    waits = []

    def use_the_channel():
        thread = threading.Thread(target=channel.to("x").close)
        thread.start()
        thread.join(5)
        waits.append(thread.is_alive())

    with Handler(use_the_channel):
        store.add(b"bad", None, True)
        arrived(channel, sse)
    assert waits == [False]


class Timeout(BaseException):
    """As gevent's and eventlet's."""


def fail(error):
    raise error


@pytest.mark.parametrize("error", [ValueError, Timeout, SystemExit, KeyboardInterrupt])
def test_whatever_read_raises_it_is_called_again(error, monkeypatch):
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    channel, sse, store = following()
    store.other = [lambda *answer: fail(error)]
    channel.add_message(None, "x")
    wait_for(sse, b"data: x")


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_whatever_a_log_handler_raises_the_store_is_read_on(error, monkeypatch):
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    monkeypatch.setattr(logging, "raiseExceptions", False)
    channel, sse, store = following()
    with Handler(lambda: fail(error)):
        store.other = [lambda *answer: fail(ValueError)]
        channel.add_message(None, "1")
        wait_for(sse, b"data: 1")
        store.add(b"bad", None, True)
        channel.add_message(None, "2")
        wait_for(sse, b"data: 2")
    assert bytes(sse) == b"data: 1\n\ndata: 2\n\n"


@pytest.mark.parametrize("call", rows(
    ("close", lambda channel: channel.close()),
    ("close of a topic", lambda channel: channel.to("user:7").close()),
    ("open", lambda channel: channel.open(channel.newest_id)),
))
@pytest.mark.parametrize("where", ["read", "log handler"])
def test_calls_by_the_thread_that_reads_do_not_wait_for_it(call, where, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 10)
    channel, sse, store = following(history=5)
    took = []
    done = threading.Event()

    def act(*answer):
        begun = time.time()
        channel.add_message(None, "y")
        call(channel)
        took.append(time.time() - begun)
        done.set()
        fail(ValueError)

    store.other = [act if where == "read" else lambda *answer: fail(ValueError)]
    with Handler(lambda: where == "read" or not took and act()):
        channel.add_message(None, "x")
        assert done.wait(20)
    assert took[0] < 5


def test_close_ends_the_wait_of_those_who_open(monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 10)
    store = Memory()
    channel = silent(store=store)
    reads, goes_on = threading.Event(), threading.Event()
    store.read = lambda *place: reads.set() or goes_on.wait(20) and fail(ValueError)
    opened = []
    thread = threading.Thread(target=lambda: opened.append(channel.open()))
    thread.start()
    assert reads.wait(5)
    channel.close()
    thread.join(5)
    goes_on.set()
    assert opened and opened[0].closed


def test_when_no_thread_can_be_started_a_stream_is_closed(monkeypatch):
    def start(*args):
        raise _thread.error("can't start new thread")   # as Thread.start, also on Python 2

    channel = silent(store=Memory())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        assert channel.open().closed
    assert not channel.open().closed


def test_two_threads_that_are_the_first_to_use_a_channel_after_a_fork():
    channel = silent(store=Memory())
    other = []

    class Parents(object):
        @property
        def closed(self):
            if not other:
                other.append(1)
                channel.streams     # just then another thread uses it
            return False

    channel._Channel__sse_log.logs[0] = Parents()
    assert not channel.closed
    assert not channel.open().closed


def test_a_stream_whose_channel_was_let_go_of_gets_what_other_processes_add():
    channel, sse, store = following()
    log = weakref.ref(channel._Channel__sse_log.logs[os.getpid()])
    del channel
    gc.collect()
    store.add(b"data: x\n\n", None, True)
    wait_for(sse, b"data: x")
    del sse
    deadline = time.time() + 10
    while log():        # the thread holds it between two reads
        gc.collect()
        assert time.time() < deadline


def test_a_log_that_begins_anew_again_and_again_does_not_fill_the_memory():
    channel, slow, store = following(history=5, max_pending=1000)
    fast = channel.open()
    for number in range(5):
        channel.add_message(None, "%d" % number * 30)
    for number in range(9):
        wait_for(fast, b"4" * 30)
        fast.flush()
        store.other = [lambda place, base, entries: (("log", 5), 0, store.rows[:5])]
        channel.add_message(None, "x", keep=False)
    channel.close()
    assert slow.closed and len(bytes(slow)) < 2000


def test_an_open_that_is_interrupted_while_it_starts_the_thread(monkeypatch):
    store = Memory()
    channel = silent(store=store)
    readers = []
    read = store.read
    store.read = lambda *place: readers.append(_thread.get_ident()) or read(*place)

    class Interrupted(threading.Thread):
        def start(self):
            super(Interrupted, self).start()
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading, "Thread", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            channel.open()
    sse = channel.open()
    for number in range(20):
        channel.add_message(None, "%d" % number)
        wait_for(sse, b"data: %d\n" % number)
    assert len(set(readers)) == 1
    assert bytes(sse).count(b"data: ") == 20


def test_a_log_that_begins_anew_has_a_place_all_the_while():
    """Those who look at it, without a lock, do it twice: whether there is one, and where."""
    channel, sse, store = following(history=5)
    log = channel._Channel__sse_log.logs[os.getpid()]
    add_to_history, places = log.add_to_history, []
    log.add_to_history = lambda *message: places.append(log.read) or add_to_history(*message)
    store.other = [lambda place, base, entries: (place, 0, entries)]
    channel.add_message(None, "x")
    wait_for(sse, b"event: reset")
    assert places == [("log", 0)]
