# -*- coding: utf-8 -*-
"""A channel that follows a store: what one process does with what all of them have added.

Two channels with one store are as good as two processes.
"""

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
from spec_decoder import decode
from sse import Channel, Closed
from support import FOREVER, log, rows, silent, Threads

pytestmark = pytest.mark.native

# Where a thread ends with an error on purpose.
THREAD_ERRORS = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
    if hasattr(pytest, "PytestUnhandledThreadExceptionWarning") else "default")


class Memory(object):
    """A store in memory. Each read that begins calls `failing`."""

    def __init__(self):
        self.epoch = "e1"
        self.entries = []
        self.begins = 0         # up to this number entries are trimmed
        self.changed = threading.Condition()
        self.reads = 0
        self.failing = lambda: None
        self.change = None      # makes another answer of the next one that has entries
        self.held = False

    def add(self, block, topics, keep):
        with self.changed:
            self.entries.append((self.newest()[1] + 1, block, topics, keep))
            self.changed.notify_all()

    def newest(self):
        return self.epoch, self.entries[-1][0] if self.entries else self.begins

    def read(self, place, history):
        with self.changed:
            self.reads += 1
            self.changed.notify_all()
            self.failing()
            answer = self.answer(place, history)
            if answer[2] and self.change:
                change, self.change = self.change, None
            else:
                return answer
        return change(*answer)

    def answer(self, place, history):
        if place and (self.held or place == self.newest()):
            self.changed.wait(0.05)
        if self.held:
            return place, None, []
        newest = self.newest()
        if place and place[0] == self.epoch and self.begins <= place[1] <= newest[1]:
            return newest, None, [each for each in self.entries if each[0] > place[1]]
        kept = [each for each in self.entries if each[3] and each[0] > self.begins]
        before = ([self.begins] + [each[0] for each in kept])[max(0, len(kept) - history)]
        return newest, before, kept[len(kept) - min(history, len(kept)):]

    def trim(self, number):
        """As if others had trimmed up to this number."""
        self.begins = number
        self.entries = [each for each in self.entries if each[0] > number]

    def hold(self):
        """From now on nothing is read."""
        self.held = True
        self.next_read()

    def release(self):
        with self.changed:
            self.held = False
            self.changed.notify_all()

    def next_read(self):
        """Wait until another read has begun."""
        with self.changed:
            count = self.reads
            while self.reads == count:
                assert self.changed.wait(FOREVER) is not False


@pytest.fixture(autouse=True, scope="module")
def collected():
    """On PyPy threads would go on until somebody collects."""
    yield
    for _ in range(3):
        gc.collect()


@pytest.fixture
def store():
    return Memory()


class Handler(logging.Handler):
    """A handler of what is logged, which calls `function`."""

    def __init__(self, function):
        super(Handler, self).__init__()
        self.emit = function

    def __enter__(self):
        logging.getLogger("sse").addHandler(self)

    def __exit__(self, *error):
        logging.getLogger("sse").removeHandler(self)


@pytest.fixture
def warnings():
    """What is logged, a list."""
    caught = []
    with Handler(lambda record: caught.append(record.getMessage())):
        yield caught


@pytest.fixture(autouse=True)
def short_pause(monkeypatch):
    monkeypatch.setattr(module, "_PAUSE", 0.001)


def following(store, **options):
    return silent(store=store, **dict({"history": 100}, **options))


def following_and_open(store, **options):
    """A channel, and a stream of it that has its newest id."""
    channel = following(store, **options)
    stream = channel.open(topics="a")
    stream.flush()
    return channel, stream


def eventually(condition):
    deadline = time.time() + FOREVER
    while not condition():
        assert time.time() < deadline
        time.sleep(0.001)


def is_gone(weak):
    gc.collect()
    return weak() is None


def wait_for(stream, wire):
    eventually(lambda: wire in bytes(stream))


def wait_for_epoch(channel, epoch):
    eventually(lambda: log(channel).read[0] == epoch)


def caught_up(channel, store):
    """Wait until all that is in the store was read."""
    until = Memory.newest(store)[1]
    assert log(channel).wait(until) and log(channel).read[1] == until


def texts(stream):
    """The data, or else the type, of the events that are pending."""
    return [text or name for name, text, _ in decode(stream.data_to_send()).events]


def received(channel, store, stream):
    caught_up(channel, store)
    return texts(stream)


def last_id(stream):
    return decode(stream.data_to_send()).last_event_id


def fail(error):
    raise error


def greenlet_exit(*args):
    """As gevent and eventlet kill a greenlet."""
    raise type(str("GreenletExit"), (BaseException,), {})


class Timeout(BaseException):
    """As gevent's and eventlet's."""


# -- What is added ------------------------------------------------------------------------


@pytest.mark.parametrize("add, block, keep", [
    (lambda to: to.add_message("e", "x\ny"), b"event: e\ndata: x\ndata: y\n\n", True),
    (lambda to: to.add_json(None, [1]), b"data: [1]\n\n", True),
    (lambda to: to.add_event_tick("x"), b"event: tick\ndata: x\n\n", True),
    (lambda to: to.add_message("e", "x", keep=False), b"event: e\ndata: x\n\n", False),
    (lambda to: to.add_comment("ping"), b": ping\n", False),
])
@pytest.mark.parametrize("topics", [(), ("a",), ("b", "a", "b")])
def test_what_is_added_goes_to_the_store_and_comes_from_it(store, add, block, keep, topics):
    one, two = following(store), following(store)
    streams = [one.open("e1-0", "a"), two.open("e1-0", "a"), two.open("e1-0", "x")]
    add(one.to(*topics) if topics else one)
    assert store.entries == [(1, block, sorted(set(topics)) or None, keep)]
    caught_up(one, store)
    caught_up(two, store)
    wire = block[:-1] + b"id: e1-1\n\n" if keep else block
    assert [stream.data_to_send() for stream in streams] == [
        wire, wire, b"" if topics else wire]


@pytest.mark.parametrize("add, error", [
    (lambda channel: channel.add_message("e", "x", event_id="own"), ValueError),
    (lambda channel: channel.add_message("e", "x", event_id=""), ValueError),
    (lambda channel: channel.add_message("e\n", "x"), ValueError),
    (lambda channel: channel.add_message("e", "x", keep=1), TypeError),
    (lambda channel: channel.add_message("e", "x" * 1000), BufferError),
    (lambda channel: channel.to().add_message("e", "x" * 1000), BufferError),
    (lambda channel: channel.to("").add_message("e", "x"), ValueError),
])
def test_what_nobody_can_get_is_not_written(store, add, error):
    channel = following(store, max_pending=1000)
    with pytest.raises(error):
        add(channel)
    channel.to().add_message("e", "x")
    assert store.entries == []


@pytest.mark.parametrize("history, keep, largest", [
    # An id has 61 bytes at most; also without a history here another process may need one.
    (100, True, 931), (0, True, 931), (100, False, 992), (0, False, 992)])
def test_what_fits_for_the_publisher_fits_for_all(store, warnings, history, keep, largest):
    channel, stream = following_and_open(store, max_pending=1000, history=history)
    with pytest.raises(BufferError):
        channel.add_message(None, "x" * (largest + 1), keep=keep)
    channel.add_message(None, "x" * largest, keep=keep)
    assert received(channel, store, stream) == ["x" * largest]
    assert not stream.closed and warnings == []


def test_an_error_of_the_store_reaches_the_publisher(store):
    store.add = lambda *_: 1 / 0
    with pytest.raises(ZeroDivisionError):
        following(store).add_message("e", "x")


@pytest.mark.parametrize("missing", ["add", "read", "newest"])
def test_a_store_that_is_none(missing):
    class Store(Memory):
        pass

    setattr(Store, missing, None)
    for bad in (Store(), 1, "events.db"):
        with pytest.raises(TypeError, match=", %s has not$" % type(bad).__name__):
            Channel(store=bad)


def test_an_add_takes_no_lock(store):
    """A signal handler may find any of ours taken."""
    channel, _ = following_and_open(store)
    with log(channel).lock, log(channel).changed:
        channel.add_message("e", "x")
        channel.to("a").add_comment()
    assert len(store.entries) == 2


def test_an_add_in_the_middle_of_a_delivery(store):
    """By a finalizer or a generator that ends: it goes to the store, too, and comes after."""
    channel = following(store)
    first, second = channel.open(), channel.open()
    publish, done = first._add, []

    def adds(block):
        publish(block)
        if not done:
            done.append(channel.add_message("e", "inner"))

    first._add = adds
    channel.add_message("e", "outer")
    eventually(lambda: done)
    assert received(channel, store, second) == ["outer", "inner"]


# -- A start ------------------------------------------------------------------------------


def test_ready_is_all_that_was_there_when_reading_began(store):
    """A new client gets none of it as if it had come now."""
    other = following(store)
    for number in range(600):
        other.add_message("e", "%d" % number)
        other.add_message("typing", "x", keep=False)
    channel = following(store, history=10)
    new = channel.open()
    assert new.data_to_send() == b"id: e1-1199\n\n"
    resumed = channel.open("e1-1195")
    assert received(channel, store, resumed) == ["598", "599"]
    # From an entry that is not kept, as `newest_id` may give.
    assert texts(channel.open("e1-1196")) == ["598", "599"]
    assert texts(channel.open("e1-1179")) == ["%d" % number for number in range(590, 600)]
    assert texts(channel.open("e1-1178"))[0] == "reset"
    other.add_message("typing", "y", keep=False)
    other.add_message("e", "after")
    assert received(channel, store, new) == texts(resumed) == ["y", "after"]


def test_a_client_that_had_no_event_yet_may_go_to_any_process(store):
    assert last_id(following(store).open()) == "e1-0"
    one = following(store)
    one.add_message("e", "a")
    one.add_message("e", "b")
    for channel in (one, following(store), following(store, history=2)):
        assert received(channel, store, channel.open("e1-0")) == ["a", "b"]


def test_a_history_of_none(store):
    following(store).add_message("e", "before")
    channel = following(store, history=0)
    streams = [channel.open(), channel.open("e1-0")]
    channel.add_message("e", "x")
    channel.to("a").add_message("e", "secret")
    caught_up(channel, store)
    assert [stream.data_to_send() for stream in streams] == [b"event: e\ndata: x\n\n"] * 2
    assert channel.newest_id is None
    store.epoch = "e2"
    wait_for_epoch(channel, "e2")
    channel.add_message("e", "y")
    assert received(channel, store, streams[0]) == ["y"]


# -- Gaps ---------------------------------------------------------------------------------


def restored(store):
    """Its ids go back."""
    store.epoch = "e2"
    store.entries = store.entries[:1]


@pytest.mark.parametrize("change, all_kept, of_a", rows(
    ("trimmed", lambda store: store.trim(3), ["d"], []),
    ("all trimmed", lambda store: store.trim(4), [], []),
    ("another", lambda store: setattr(store, str("epoch"), "e2"), ["a", "d"], ["b"]),
    ("restored", restored, ["a"], []),
))
def test_after_a_gap_every_stream_is_told_once_and_gets_what_is_kept(
        store, change, all_kept, of_a):
    channel, other = following(store, reset_event="missed"), following(store)
    quiet, listens = channel.open("e1-0"), channel.open("e1-0", "a")
    other.add_message("e", "a")
    assert received(channel, store, quiet) == received(channel, store, listens) == ["a"]
    store.hold()
    other.to("a").add_message("e", "b")
    other.to("c").add_message("e", "c")
    other.add_message("e", "d")
    change(store)
    store.release()
    eventually(lambda: log(channel).read == store.newest())
    for stream, kept in ((quiet, all_kept), (listens, sorted(all_kept + of_a))):
        assert received(channel, store, stream) == ["missed"] + kept
    other.add_message("e", "on")
    assert received(channel, store, quiet) == received(channel, store, listens) == ["on"]
    # With the id that it has after it a client is not told again.
    assert received(channel, store, channel.open(last_id(channel.open()))) == []


def test_gaps_end_no_stream_for_their_size_and_do_not_fill_the_memory(store):
    channel, slow = following_and_open(store, history=5, max_pending=1000)
    fast = channel.open()
    for number in range(5):
        channel.add_message(None, "%d" % number * 300)
        caught_up(channel, store)
        slow.flush()
        fast.flush()
    for _ in range(9):
        store.change = lambda place, base, entries: (("e1", 5), 0, store.entries[:5])
        channel.add_message(None, "x", keep=False)
        wait_for(fast, b"4" * 300)
        fast.flush()
    assert not fast.closed
    assert slow.closed and 1500 < len(bytes(slow)) < 3000


def test_a_stream_that_waits_is_woken_by_a_gap(store):
    channel, stream = following_and_open(store)
    woken = threading.Event()
    stream._claim(woken.set)
    log(channel).streams[lambda: None] = frozenset()    # one that has just left
    store.epoch = "e2"
    assert woken.wait(FOREVER)
    assert bytes(stream).startswith(b"event: reset\n")


def test_a_log_that_begins_anew_has_a_place_all_the_while(store):
    """Those who look at it, without a lock, do it twice: whether there is one, and where."""
    channel, stream = following_and_open(store)
    own = log(channel).logs[os.getpid()]
    add_to_history, places = own.add_to_history, []
    own.add_to_history = lambda *message: places.append(own.read) or add_to_history(*message)
    store.change = lambda place, base, entries: (place, 0, entries)
    channel.add_message(None, "x")
    wait_for(stream, b"event: reset")
    assert places == [("e1", 0)]


# -- What a store gives -------------------------------------------------------------------


GOOD = b"data: x\n\n"


@pytest.mark.parametrize("entry", [
    None, (2, GOOD, None), (2, None, None, True), (2, "data: x\n\n", None, True),
    (2, 1, None, True), (2, bytearray(GOOD), None, True),
] + [(number, GOOD, None, True) for number in [1, 0, -1, True, 1.5, "2", None, 10 ** 6]] + [
    (2, block, None, True) for block in [
        b"", b"data: x\n", b"data: x", b"data: x\n\ndata: y\n\n", b"data: x\r\n\n",
        b"id: 7\ndata: x\n\n", b"data: x\nid: 7\n\n", b"retry: 1\n\n",
        b"event: a\nevent: b\ndata: x\n\n", b"data: x\nevent: a\n\n", b": comment\n",
        b"data: \xff\n\n", b"data: \xed\xa0\x80\n\n", b"data: " + b"x" * 2000 + b"\n\n"]
] + [(2, GOOD, topics, True) for topics in [
    "news", b"news", 7, [7], [None], [""], [["a"]], {"n": 1}, ["x" * 2000], ["\ud800"]]
] + [(2, GOOD, None, keep) for keep in ["yes", None, 1]], ids=repr)
def test_an_entry_that_cannot_be_sent_is_logged_and_passed_over(store, warnings, entry):
    channel = following(store, max_pending=1000)
    streams = [channel.open("e1-0", topics) for topics in ((), "n", "e", "news")]
    channel.add_message(None, "one")
    caught_up(channel, store)
    store.change = lambda place, base, entries: (place, base, [entry] + entries)
    channel.add_message(None, "two")
    for stream in streams:
        assert received(channel, store, stream) == ["one", "two"]
    assert len(warnings) == 1
    # At a start, too.
    store.change = lambda place, base, entries: (place, base, entries[:1] + [entry] + entries[1:])
    late = following(store, max_pending=1000)
    assert received(late, store, late.open("e1-0", ["n", "e", "news"])) == ["one", "two"]
    assert len(warnings) == 2


@pytest.mark.parametrize("answer", rows(
    ("no three", lambda place, base, entries: (place, entries)),
    ("None", lambda place, base, entries: None),
    ("no place", lambda place, base, entries: (None, base, entries)),
    ("place: a number", lambda place, base, entries: (place[1], base, entries)),
    ("place: text", lambda place, base, entries: ("e1", base, entries)),
    ("number: text", lambda place, base, entries: (("e1", "2"), base, entries)),
    ("number: bool", lambda place, base, entries: (("e1", True), base, entries)),
    ("number: lower", lambda place, base, entries: (("e1", 0), base, entries)),
    ("number: too long for an id", lambda place, base, entries: (("e1", 10 ** 39), base, entries)),
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
def test_an_answer_that_is_none_is_read_again(store, answer):
    channel, stream = following_and_open(store)
    channel.add_message(None, "0")
    caught_up(channel, store)
    store.change = answer
    channel.add_message(None, "1")
    late = channel.open("e1-1")
    channel.add_message(None, "2")
    wire = b"data: 1\nid: e1-2\n\ndata: 2\nid: e1-3\n\n"
    wait_for(stream, b"data: 2")
    assert bytes(stream) == b"data: 0\nid: e1-1\n\n" + wire
    assert bytes(late) == wire


def test_a_first_answer_without_a_base(store, monkeypatch):
    monkeypatch.setattr(module, "_PAUSE", 0.5)
    store.change = lambda place, base, entries: (place, None, entries)
    channel = following(store)
    channel.add_message(None, "x")
    assert channel.open("e1-0").closed


# -- The thread ---------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [
    OSError("gone"), StopIteration(), MemoryError(), Exception("\u2026"), Timeout(), SystemExit(),
    KeyboardInterrupt()], ids=lambda failure: type(failure).__name__)
def test_the_thread_outlives_errors(store, warnings, failure):
    """It logs the first one of each time that the store is away."""
    channel, stream = following_and_open(store)
    for away in (1, 2):
        store.failing = lambda: fail(failure)
        for _ in range(5):
            store.next_read()
        assert log(channel).away and len(warnings) == away
        store.failing = lambda: None
        channel.add_message("e", "x")
        eventually(lambda: not log(channel).away)
        assert received(channel, store, stream) == ["x"]


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_whatever_a_log_handler_raises_the_store_is_read_on(store, error, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    channel, stream = following_and_open(store, history=0)
    with Handler(lambda record: fail(error)):
        store.change = lambda *answer: fail(ValueError)
        channel.add_message(None, "1")
        wait_for(stream, b"data: 1")
        store.add(b"bad", None, True)
        channel.add_message(None, "2")
        wait_for(stream, b"data: 2")
    assert bytes(stream) == b"data: 1\n\ndata: 2\n\n"


def test_a_log_handler_is_not_called_under_the_lock(store):
    channel, stream = following_and_open(store)
    waits = []

    def use_the_channel(record):
        thread = threading.Thread(target=channel.to("x").close)
        thread.start()
        thread.join(5)
        waits.append(thread.is_alive())

    with Handler(use_the_channel):
        store.add(b"bad", None, True)
        caught_up(channel, store)
    assert waits == [False]


@pytest.mark.parametrize("call", rows(
    ("close", lambda channel: channel.close()),
    ("close of a topic", lambda channel: channel.to("a").close()),
    ("open", lambda channel: channel.open(channel.newest_id)),
))
@pytest.mark.parametrize("where", ["read", "log handler"])
def test_calls_by_the_thread_that_reads_do_not_wait_for_it(store, call, where, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 10)
    channel, stream = following_and_open(store)
    took = []

    def act(*answer):
        begun = time.time()
        channel.add_message(None, "y")
        call(channel)
        took.append(time.time() - begun)
        fail(ValueError)

    store.change = act if where == "read" else lambda *answer: fail(ValueError)
    with Handler(lambda record: where == "read" or not took and act()):
        channel.add_message(None, "x")
        eventually(lambda: took)
    assert took[0] < 5


@THREAD_ERRORS
@pytest.mark.parametrize("where", ["read", "delivery"])
def test_a_greenlet_that_is_killed_ends_and_another_is_started(store, where, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda *_: None, raising=False)
    channel, stream = following_and_open(store)
    own, thread = log(channel).logs[os.getpid()], log(channel).thread
    checked = own.checked
    if where == "read":
        store.failing = greenlet_exit
    else:
        own.checked = greenlet_exit
    channel.add_message("e", "x")
    thread.join(FOREVER)
    assert not thread.is_alive()
    store.failing, own.checked = lambda: None, checked
    assert not channel.open().closed
    assert received(channel, store, stream) == ["x"]


def test_a_thread_that_cannot_be_started(store, warnings, monkeypatch):
    """The client gets a stream that ends, and asks again."""
    channel = following(store)
    with monkeypatch.context() as patch:
        # As Thread.start raises it, also on Python 2.
        patch.setattr(threading.Thread, "start", lambda *args: fail(
            _thread.error("can't start new thread")))
        assert channel.open().closed and len(warnings) == 1
    assert not channel.open().closed


def test_an_open_that_is_interrupted_while_it_starts_the_thread(store, monkeypatch):
    channel = following(store, history=0)
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
    stream = channel.open()
    for number in range(20):
        channel.add_message(None, "%d" % number)
        wait_for(stream, b"data: %d\n" % number)
    assert len(set(readers)) == 1
    assert bytes(stream).count(b"data: ") == 20


def test_one_thread_and_none_before_the_first_open(store):
    channel = following(store)
    channel.add_message("e", "x")
    assert channel.newest_id == "e1-1" and channel.streams == [] and repr(channel)
    channel.to("a").close()
    assert log(channel).thread is None and store.reads == 0
    channel.open()
    thread = log(channel).thread
    for _ in range(5):
        channel.open("e1-0", ["a", "b"])
    assert log(channel).thread is thread and thread.daemon


@pytest.mark.parametrize("fails", [False, True])
def test_the_thread_of_a_channel_that_was_let_go_of_ends(store, warnings, fails):
    """Also after an error, whose traceback has the channel."""
    channel = following(store)
    channel.open().close()
    if fails:
        store.read = lambda place, history: (None, None, None)
        eventually(lambda: warnings)
    thread, weak = log(channel).thread, weakref.ref(log(channel).logs[os.getpid()])
    del channel
    eventually(lambda: is_gone(weak) and not thread.is_alive())


def test_a_stream_whose_channel_was_let_go_of_gets_what_other_processes_add(store):
    channel, stream = following_and_open(store)
    weak = weakref.ref(log(channel).logs[os.getpid()])
    del channel
    gc.collect()
    store.add(GOOD, None, True)
    wait_for(stream, b"data: x")
    del stream
    eventually(lambda: is_gone(weak))


# -- Ids ----------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [
    "e1-", "e1-01", "e1-1\n", "E1-1", "x", "e2-1", "e1-" + "9" * 40, "e1-4", "e1-" + "9" * 30])
def test_an_id_that_nobody_gave_is_unknown_at_once(store, bad):
    """The store is asked for those above what was read, once; nothing is waited for."""
    channel = following(store)
    for text in "abc":
        channel.add_message("e", text)
    assert received(channel, store, channel.open()) == []
    store.hold()
    asked = []
    newest, here = store.newest, threading.current_thread()
    store.newest = lambda: asked.append(threading.current_thread()) or newest()
    client = decode(channel.open(bad).data_to_send())
    assert [text or name for name, text, _ in client.events] == ["reset", "a", "b", "c"]
    assert client.last_event_id == "e1-3"
    channel.open("e1-3")        # and not for what was read
    assert asked.count(here) == (bad in ("e1-4", "e1-" + "9" * 30))


def test_the_id_of_a_faster_process_is_waited_for(store):
    one, two = following(store), following(store)
    two.open()
    store.hold()
    for text in "abc":
        one.add_message("e", text)
    opened = []
    threads = Threads()
    for _ in range(3):
        threads.start(lambda: opened.append(two.open("e1-2")))
    store.next_read()
    assert opened == []
    store.release()
    threads.join()
    assert [received(two, store, stream) for stream in opened] == [["c"]] * 3


@pytest.mark.parametrize("last, closed", [
    (None, False), ("e1-0", False), ("x", False), ("e1-2", True)])
def test_while_the_store_is_away(store, last, closed):
    """Those whose place is known here are served; the others get a stream that ends."""
    channel, stream = following_and_open(store)
    other = following(store)
    channel.add_message("e", "x")
    caught_up(channel, store)
    newest = store.newest
    store.failing = store.newest = lambda: fail(OSError)
    eventually(lambda: log(channel).away)
    stream = channel.open(last)
    assert stream.closed == closed
    assert closed or stream.data_to_send()
    assert other.open(last).closed
    store.newest, store.failing = newest, lambda: None
    other.add_message("e", "y")
    eventually(lambda: not log(channel).away)
    assert received(channel, store, channel.open("e1-1")) == ["y"]


def test_the_newest_id_is_never_older_than_what_was_added(store):
    one, two = following(store), following(store)
    assert one.newest_id == "e1-0"
    one.open()
    store.hold()
    one.add_message("e", "x")
    assert one.newest_id == two.newest_id == "e1-1"
    store.release()
    assert received(one, store, one.open("e1-1")) == []


# -- The end ------------------------------------------------------------------------------


@pytest.mark.parametrize("to_all", [True, False], ids=["channel", "topic"])
def test_close_waits_for_what_was_added(store, to_all):
    channel, stream = following_and_open(store)
    store.hold()
    target = channel if to_all else channel.to("a")
    target.add_message("e", "last")
    threads = Threads()
    threads.start(target.close)
    store.next_read()
    assert not stream.closed
    store.release()
    threads.join()
    assert stream.closed and channel.closed == to_all
    assert stream.data_to_send() == b"event: e\ndata: last\nid: e1-1\n\n"


@pytest.mark.parametrize("break_it", [
    Memory.hold, lambda store: setattr(store, str("failing"), lambda: fail(OSError)),
    lambda store: setattr(store, str("newest"), lambda: fail(OSError))])
def test_close_waits_within_a_bound(store, break_it, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    channel, stream = following_and_open(store)
    channel.add_message("e", "x")
    break_it(store)
    channel.close()
    assert stream.closed and channel.closed
    log(channel).thread.join(FOREVER)
    assert not log(channel).thread.is_alive()


def test_close_ends_the_wait_of_those_who_open(store):
    channel = following(store)
    reads, goes_on = threading.Event(), threading.Event()
    store.failing = lambda: reads.set() or goes_on.wait(FOREVER)
    opened = []
    threads = Threads()
    threads.start(lambda: opened.append(channel.open()))
    assert reads.wait(FOREVER)
    begun = time.time()
    channel.close()
    threads.join()
    goes_on.set()
    assert opened[0].closed and time.time() - begun < module._PATIENCE - 1


@pytest.mark.parametrize("used", [False, True])
def test_a_closed_channel_asks_the_store_for_nothing(store, used):
    channel = following(store)
    stream = channel.open() if used else None
    channel.close()
    channel.close()
    assert channel.closed and (not used or stream.closed)
    store.failing = store.newest = lambda: fail(OSError)
    for last in (None, "e1-0", "e1-9", "x"):
        assert channel.open(last).closed
    with pytest.raises(Closed):
        channel.add_message("e", "x")
    assert store.entries == [] and channel.streams == []


# -- A fork -------------------------------------------------------------------------------


if hasattr(os, "fork"):
    def test_a_child_has_a_log_of_its_own(store):
        """Even if it is forked while locks are held: not the parent's streams, place and thread."""
        channel = following(store)
        stream = channel.open()
        channel.add_message("e", "before")
        assert received(channel, store, stream) == ["before"]
        parents = log(channel).logs[os.getpid()]
        with parents.lock, parents.changed:
            child = os.fork()
            if not child:
                try:
                    store.changed = threading.Condition()       # it is in the parent's memory
                    assert channel.streams == []
                    new = channel.open("e1-0")
                    channel.add_message("e", "childs")
                    assert received(channel, store, new) == ["before", "childs"]
                    assert bytes(stream) == b"" and channel.streams == [new]
                    assert log(channel).thread is not parents.thread
                    channel.close()
                    os._exit(0)
                finally:
                    os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        channel.add_message("e", "after")
        assert received(channel, store, stream) == ["after"]


@pytest.mark.parametrize("closed", [False, True])
def test_two_threads_that_are_the_first_to_use_a_channel_after_a_fork(store, closed):
    channel = following(store)
    others = []

    class Parents(object):
        @property
        def closed(self):
            if not others:
                others.append(1)
                others.append(channel.streams)      # just then another thread uses it
            return closed

    log(channel).logs[0] = Parents()
    assert channel.closed is closed
    assert channel.open().closed is closed
