# -*- coding: utf-8 -*-
"""A channel that follows a store: what one process does with what all of them have added.

Two channels with one store are as good as two processes.
"""

from __future__ import unicode_literals

import gc
import logging
import os
import threading
import weakref

import pytest
from six.moves import _thread

import sse
from spec_decoder import Decoder
from sse import Channel, Closed
from support import FOREVER, log, Threads


class Memory(object):
    """A store in memory. `failing` is called by each read that begins; `held` stops reads."""

    def __init__(self):
        self.epoch = "e1"
        self.entries = []
        self.begins = 0         # up to this number entries are trimmed
        self.changed = threading.Condition()
        self.reads = []
        self.asked = 0
        self.failing = lambda: None
        self.held = False

    def add(self, block, topics, keep):
        with self.changed:
            self.entries.append((self.newest()[1] + 1, block, topics, keep))
            self.changed.notify_all()
            return self.entries[-1][0]

    def newest(self):
        self.asked += 1
        return self.epoch, self.entries[-1][0] if self.entries else self.begins

    def read(self, place, history):
        with self.changed:
            self.reads.append(place)
            self.changed.notify_all()
            self.failing()
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
        with self.changed:
            self.begins = number
            self.entries = [each for each in self.entries if each[0] > number]

    def hold(self):
        """From now on nothing is read."""
        with self.changed:
            self.held = True

    def release(self):
        with self.changed:
            self.held = False
            self.changed.notify_all()

    def next_read(self):
        """Wait until another read has begun."""
        with self.changed:
            count = len(self.reads)
            while len(self.reads) == count:
                assert self.changed.wait(FOREVER) is not False


@pytest.fixture
def store():
    return Memory()


@pytest.fixture
def warnings(monkeypatch):
    """What is logged, a list."""
    caught = []
    handler = logging.Handler()
    handler.emit = lambda record: caught.append(record.getMessage())
    logger = logging.getLogger("sse")
    logger.addHandler(handler)
    yield caught
    logger.removeHandler(handler)


def following(store, **options):
    return Channel(store=store, **dict({"history": 100, "default_retry": None}, **options))


def caught_up(channel, store):
    """Wait until all that is in the store was read."""
    until = Memory.newest(store)[1]
    assert log(channel).wait(until) and log(channel).read[1] == until


def received(channel, store, stream):
    """The data, or else the type, of the events that are pending, and their ids."""
    caught_up(channel, store)
    client = Decoder()
    client.feed(stream.data_to_send())
    return [text or name for name, text, _ in client.events]


def last_id(stream):
    client = Decoder()
    client.feed(stream.data_to_send())
    return client.last_event_id


# -- What is added ------------------------------------------------------------------------


ADDED = [
    (lambda to: to.add_message("e", "x\ny"), b"event: e\ndata: x\ndata: y\n\n", True),
    (lambda to: to.add_json(None, [1]), b"data: [1]\n\n", True),
    (lambda to: to.add_event_tick("x"), b"event: tick\ndata: x\n\n", True),
    (lambda to: to.add_message("e", "x", keep=False), b"event: e\ndata: x\n\n", False),
    (lambda to: to.add_comment("ping"), b": ping\n", False),
]


@pytest.mark.native
@pytest.mark.parametrize("add, block, keep", ADDED)
@pytest.mark.parametrize("topics", [(), ("a",), ("b", "a", "b")])
def test_what_is_added_goes_to_the_store_and_comes_from_it(store, add, block, keep, topics):
    one, two = following(store), following(store)
    streams = [one.open(None, "a"), two.open(None, "a"), two.open(None, "x")]
    for stream in streams:
        stream.flush()
    add(one.to(*topics) if topics else one)
    assert store.entries == [(1, block, sorted(set(topics)) or None, keep)]
    caught_up(one, store)
    caught_up(two, store)
    wire = block[:-1] + b"id: e1-1\n\n" if keep else block
    assert [stream.data_to_send() for stream in streams] == [
        wire, wire, b"" if topics else wire]


def nobody(channel):
    channel.to().add_message("e", "x")


@pytest.mark.parametrize("add, error", [
    (lambda channel: channel.add_message("e", "x", event_id="own"), ValueError),
    (lambda channel: channel.add_message("e", "x", event_id=""), ValueError),
    (lambda channel: channel.add_message("e\n", "x"), ValueError),
    (lambda channel: channel.add_message("e", 1), TypeError),
    (lambda channel: channel.add_message("e", "x", keep=1), TypeError),
    (lambda channel: channel.add_message("e", "x" * 1000), BufferError),
    (lambda channel: channel.add_json("e", float("nan")), ValueError),
    (lambda channel: channel.to("").add_message("e", "x"), ValueError),
    (nobody, None),
])
def test_what_nobody_can_get_is_not_written(store, add, error):
    channel = following(store, max_pending=1000)
    if error:
        with pytest.raises(error):
            add(channel)
    else:
        add(channel)
    assert store.entries == []


@pytest.mark.native
def test_what_fits_for_the_publisher_fits_for_all(store, warnings):
    """The id is written where it is read: the largest one counts."""
    channel = following(store, max_pending=1000)
    stream = channel.open()
    size = 1000
    while not store.entries:
        size -= 1
        try:
            channel.add_message(None, "x" * size)
        except BufferError:
            pass
    assert len(received(channel, store, stream)[0]) == size > 900
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
        with pytest.raises(TypeError, match="store"):
            Channel(store=bad)


@pytest.mark.native
def test_an_add_takes_no_lock(store):
    """A signal handler may find any of ours taken."""
    channel = following(store)
    channel.open()
    with log(channel).lock, log(channel).changed:
        channel.add_message("e", "x")
        channel.to("a").add_comment()
    assert len(store.entries) == 2


@pytest.mark.native
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
    while not done:
        store.next_read()
    assert received(channel, store, second) == ["outer", "inner"]


# -- A start ------------------------------------------------------------------------------


@pytest.mark.native
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
    assert received(channel, store, channel.open("e1-1196")) == ["598", "599"]
    assert received(channel, store, channel.open("e1-1179")) == ["%d" % n for n in range(590, 600)]
    assert received(channel, store, channel.open("e1-1178"))[0] == "reset"
    other.add_message("typing", "y", keep=False)
    other.add_message("e", "after")
    assert received(channel, store, new) == received(channel, store, resumed) == ["y", "after"]


@pytest.mark.native
def test_the_beginning_is_the_same_in_all_processes(store):
    """A client that had no event yet may go to any of them."""
    first = last_id(following(store).open())
    assert first == "e1-0"
    one = following(store)
    one.add_message("e", "a")
    one.add_message("e", "b")
    for channel in (one, following(store), following(store, history=2)):
        assert received(channel, store, channel.open(first)) == ["a", "b"]


@pytest.mark.native
def test_a_history_of_none(store):
    channel, other = following(store, history=0), following(store)
    other.add_message("e", "before")
    streams = [channel.open(), channel.open("e1-0")]
    assert [stream.data_to_send() for stream in streams] == [b"", b""]
    channel.add_message("e", "x")
    other.to("a").add_message("e", "secret")
    caught_up(channel, store)
    assert [stream.data_to_send() for stream in streams] == [b"event: e\ndata: x\n\n"] * 2
    assert channel.newest_id is None
    store.epoch = "e2"
    caught_up(channel, store)
    while log(channel).read[0] != "e2":
        store.next_read()
    channel.add_message("e", "y")
    assert received(channel, store, streams[0]) == ["y"]


# -- Gaps ---------------------------------------------------------------------------------


def trimmed(store):
    store.trim(3)


def all_trimmed(store):
    store.trim(4)


def another(store):
    store.epoch = "e2"


def restored(store):
    """Its ids go back."""
    store.epoch = "e2"
    store.entries = store.entries[:1]


@pytest.mark.native
@pytest.mark.parametrize("change, all_kept, of_a", [
    (trimmed, ["d"], []), (all_trimmed, [], []), (another, ["a", "d"], ["b"]),
    (restored, ["a"], []),
])
def test_after_a_gap_every_stream_is_told_once_and_gets_what_is_kept(
        store, change, all_kept, of_a):
    channel, other = following(store, reset_event="missed"), following(store)
    quiet, listens = channel.open(), channel.open(None, "a")
    other.add_message("e", "a")
    caught_up(channel, store)
    for stream in (quiet, listens):
        stream.flush()
    store.hold()
    store.next_read()
    other.to("a").add_message("e", "b")
    other.to("c").add_message("e", "c")
    other.add_message("e", "d")
    change(store)
    places = len(store.reads)
    store.release()
    while log(channel).read is None or log(channel).read != store.newest():
        store.next_read()
    assert places
    for stream, kept in ((quiet, all_kept), (listens, sorted(all_kept + of_a))):
        assert received(channel, store, stream) == ["missed"] + kept
    other.add_message("e", "on")
    assert received(channel, store, quiet) == received(channel, store, listens) == ["on"]
    # With the id that it has after it a client is not told again.
    new = channel.open()
    assert received(channel, store, channel.open(last_id(new))) == []


@pytest.mark.native
def test_a_gap_ends_no_stream_for_its_size(store):
    channel, other = following(store, max_pending=3000), following(store)
    stream = channel.open()
    for _ in range(20):
        other.add_message("e", "x" * 1000)
        caught_up(channel, store)
        stream.flush()
    store.epoch = "e2"
    while log(channel).read[0] != "e2":
        store.next_read()
    assert not stream.closed
    assert len(received(channel, store, stream)) == 21


@pytest.mark.native
def test_a_stream_that_waits_is_woken_by_a_gap(store):
    channel = following(store)
    stream = channel.open()
    stream.flush()
    woken = threading.Event()
    stream._claim(woken.set)
    store.epoch = "e2"
    assert woken.wait(FOREVER)


# -- Entries that cannot be sent ----------------------------------------------------------


GOOD = b"data: x\n\n"


@pytest.mark.native
@pytest.mark.parametrize("entry", [
    (GOOD, None), (None, None, True), ("data: x\n\n", None, True), (1, None, True),
    (bytearray(GOOD), None, True),
    (b"", None, True), (b"data: x\n", None, True), (b"data: x", None, True),
    (b"data: x\n\ndata: y\n\n", None, True), (b"data: x\r\n\n", None, True),
    (b"id: 7\ndata: x\n\n", None, True), (b"data: x\nid: 7\n\n", None, True),
    (b"retry: 1\n\n", None, True), (b"event: a\nevent: b\ndata: x\n\n", None, True),
    (b"data: x\nevent: a\n\n", None, True), (b": comment\n", None, True),
    (b"data: \xff\n\n", None, True), (b"data: \xed\xa0\x80\n\n", None, True),
    (b"data: " + b"x" * 2000 + b"\n\n", None, True),
    (GOOD, "news", True), (GOOD, b"news", True), (GOOD, 7, True), (GOOD, [7], True),
    (GOOD, [None], True), (GOOD, [""], True), (GOOD, [["a"]], True), (GOOD, {"n": 1}, True),
    (GOOD, ["x" * 2000], True), (GOOD, ["\ud800"], True),
    (GOOD, None, "yes"), (GOOD, None, None), (GOOD, None, 1),
], ids=repr)
def test_an_entry_that_cannot_be_sent_is_logged_and_passed_over(store, warnings, entry):
    channel = following(store, max_pending=1000)
    streams = [channel.open(None, topics) for topics in ((), "n", "e", "news")]
    with store.changed:
        store.entries += [(1,) + entry, (2, b"data: good\n\n", None, True)]
        store.changed.notify_all()
    for stream in streams:
        assert received(channel, store, stream) == ["good"]
    assert len(warnings) == 1
    # At a start, too.
    if len(entry) == 3:
        late = following(store, max_pending=1000)
        assert received(late, store, late.open("e1-0", ["n", "e", "news"])) == ["good"]


@pytest.mark.native
@pytest.mark.parametrize("number", [1, 0, -1, True, 1.5, "2", None])
def test_an_entry_that_is_out_of_order_is_passed_over(store, warnings, number):
    channel = following(store)
    stream = channel.open()
    channel.add_message("e", "one")
    assert received(channel, store, stream) == ["one"]
    read = store.read
    given = []

    def reads(place, history):
        if not given:
            given.append(True)
            store.entries.append((2, GOOD, None, True))
            return ("e1", 2), None, [(number, b"data: wrong\n\n", None, True),
                                     (2, b"data: two\n\n", None, True)]
        return read(place, history)

    store.read = reads
    while not given or log(channel).read != ("e1", 2):
        store.next_read()
    assert received(channel, store, stream) == ["two"]
    assert len(warnings) == 1


# -- The thread ---------------------------------------------------------------------------


class Odd(BaseException):
    pass


@pytest.mark.native
@pytest.mark.parametrize("failure", [
    OSError("gone"), ValueError(), StopIteration(), MemoryError(), Exception("\u2026")])
@pytest.mark.parametrize("logger_raises", [False, True])
def test_the_thread_outlives_errors(store, warnings, monkeypatch, failure, logger_raises):
    """It logs the first one of each time that the store is away."""
    monkeypatch.setattr(sse, "_PAUSE", 0.001)
    channel = following(store)
    stream = channel.open()
    if logger_raises:
        monkeypatch.setattr(logging.getLogger("sse"), "warning", lambda *_: 1 / 0)

    def fail():
        raise failure

    for away in (1, 2):
        store.failing = fail
        for _ in range(5):
            store.next_read()
        assert log(channel).away
        assert len(warnings) == (0 if logger_raises else away)
        store.failing = lambda: None
        channel.add_message("e", "x")
        while log(channel).away:
            store.next_read()
        assert received(channel, store, stream) == ["x"]
        if not away:
            break
    assert log(channel).thread.is_alive()


@pytest.mark.native
@pytest.mark.parametrize("result", [
    None, (), (("e1", 1), None), (None, None, []), (("e1", 1), None, None), ((1, 1), 0, []),
    (("e1", "x"), 0, []), (("e1", 1), "x", [])], ids=repr)
def test_the_thread_outlives_what_a_store_gives(store, warnings, monkeypatch, result):
    monkeypatch.setattr(sse, "_PAUSE", 0.001)
    channel = following(store)
    stream = channel.open()
    read, given = store.read, []

    def reads(place, history):
        given.append(place)
        return result if len(given) < 3 else read(place, history)

    store.read = reads
    channel.add_message("e", "x")
    while len(given) < 5:
        store.next_read()
    assert received(channel, store, stream)[-1] == "x"
    assert log(channel).thread.is_alive() and not stream.closed


@pytest.mark.native
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"
                            if hasattr(pytest, "PytestUnhandledThreadExceptionWarning")
                            else "default")
def test_a_thread_that_died_is_started_again(store, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda *_: None, raising=False)
    channel = following(store)
    stream = channel.open()

    def exit():
        store.failing = lambda: None
        raise type(str("GreenletExit"), (BaseException,), {})

    store.failing = exit
    log(channel).thread.join(FOREVER)
    assert not log(channel).thread.is_alive()
    channel.add_message("e", "x")
    assert not channel.open().closed
    assert received(channel, store, stream) == ["x"]


@pytest.mark.native
def test_a_thread_that_cannot_be_started(store, warnings, monkeypatch):
    """The client gets a stream that ends, and asks again."""
    channel = following(store)
    start = threading.Thread.start

    def fails(*args):
        raise _thread.error("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fails)
    assert channel.open().closed and len(warnings) == 1
    monkeypatch.setattr(threading.Thread, "start", start)
    assert not channel.open().closed


@pytest.mark.native
def test_one_thread_and_none_before_the_first_open(store):
    channel = following(store)
    channel.add_message("e", "x")
    assert channel.newest_id == "e1-1" and channel.streams == [] and repr(channel)
    channel.to("a").close()
    assert log(channel).thread is None and store.reads == []
    channel.open()
    thread = log(channel).thread
    for _ in range(5):
        channel.open("e1-0", ["a", "b"])
    assert log(channel).thread is thread and thread.daemon


@pytest.mark.native
@pytest.mark.parametrize("fails", [False, True])
def test_the_thread_of_a_channel_that_was_let_go_of_ends(store, warnings, monkeypatch, fails):
    """Also after an error, whose traceback has the channel."""
    monkeypatch.setattr(sse, "_PAUSE", 0.001)
    channel = following(store)
    channel.open().close()
    if fails:
        store.read = lambda place, history: (None, None, None)
        while not warnings:
            pass
    thread, weak = log(channel).thread, weakref.ref(log(channel).logs[os.getpid()])
    del channel
    for _ in range(FOREVER * 20):       # a collection may find it in the middle of a round
        gc.collect()
        thread.join(0.05)
        if not thread.is_alive():
            break
    assert not thread.is_alive()
    gc.collect()
    assert weak() is None


@pytest.mark.native
@pytest.mark.filterwarnings("ignore" if hasattr(pytest, "PytestUnhandledThreadExceptionWarning")
                            else "default")
def test_a_greenlet_that_is_killed_while_it_sends_ends(store, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda *_: None, raising=False)
    channel = following(store)
    channel.open()

    def killed(*result):
        raise type(str("GreenletExit"), (BaseException,), {})

    log(channel).logs[os.getpid()].checked = killed
    channel.add_message("e", "x")
    thread = log(channel).thread
    thread.join(FOREVER)
    assert not thread.is_alive()


@pytest.mark.native
def test_a_stream_that_leaves_while_all_are_told(store):
    channel = following(store)
    sse = channel.open()
    sse.flush()
    log(channel).streams[lambda: None] = frozenset()    # a reference that is dead
    store.epoch = "e2"
    while log(channel).read[0] != "e2":
        store.next_read()
    assert bytes(sse).startswith(b"event: reset\n")


# -- Ids ----------------------------------------------------------------------------------


@pytest.mark.native
@pytest.mark.parametrize("bad", [
    "e1-", "e1-\u00b2", "e1-\u0663", "e1-+1", "e1--1", "e1- 1", "e1-1 ", "e1-01", "e1-1.0",
    "e1-1\n", "e1-1e0", "e1-0x1", "e1-1_0", "E1-1", "e1", "-1", "1", "x", "e2-1", "e1-1-1",
    "e1-" + "9" * 40, "e1-" + "9" * 5000, "e1-4", "e1-" + "9" * 30], ids=lambda bad: repr(bad)[:20])
def test_an_id_that_nobody_gave_is_unknown_at_once(store, bad):
    """The store is asked for those above what was read, once; nothing is waited for."""
    channel = following(store)
    for text in "abc":
        channel.add_message("e", text)
    caught_up_with = channel.open()
    assert received(channel, store, caught_up_with) == []
    store.hold()
    store.asked = 0
    stream = channel.open(bad)
    asked = store.asked
    client = Decoder()
    client.feed(stream.data_to_send())
    assert [text or name for name, text, _ in client.events] == ["reset", "a", "b", "c"]
    assert client.last_event_id == "e1-3"
    # The store in memory asks itself, too.
    assert asked <= 3


@pytest.mark.native
def test_a_store_is_asked_once_for_an_id_that_is_above(store):
    channel = following(store)
    channel.open()
    asked = []
    newest = store.newest
    store.newest = lambda: asked.append(threading.current_thread()) or newest()
    me = threading.current_thread()
    for last, times in (("e1-0", 0), ("e1-7", 1), ("x", 0), ("e2-7", 0), (None, 0)):
        channel.open(last)
        assert asked.count(me) == times
        del asked[:]


@pytest.mark.native
def test_the_id_of_a_faster_process_is_waited_for(store):
    one, two = following(store), following(store)
    two.open()
    store.hold()
    store.next_read()
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


@pytest.mark.native
@pytest.mark.parametrize("last, closed", [
    (None, False), ("e1-0", False), ("x", False), ("e1-2", True)])
def test_while_the_store_is_away(store, monkeypatch, warnings, last, closed):
    """Those whose place is known here are served; the others get a stream that ends."""
    monkeypatch.setattr(sse, "_PAUSE", 0.001)
    channel, other = following(store), following(store)
    channel.open()
    channel.add_message("e", "x")
    caught_up(channel, store)

    def fail():
        raise OSError

    def asks():
        raise OSError

    store.failing = fail
    newest, store.newest = store.newest, asks
    while not log(channel).away:
        pass
    stream = channel.open(last)
    assert stream.closed == closed
    assert closed or stream.data_to_send()
    assert other.open(last).closed
    store.newest, store.failing = newest, lambda: None
    other.add_message("e", "y")
    while log(channel).away:
        store.next_read()
    assert received(channel, store, channel.open("e1-1")) == ["y"]


@pytest.mark.native
def test_the_newest_id_is_never_older_than_what_was_added(store):
    one, two = following(store), following(store)
    assert one.newest_id == "e1-0"
    one.open()
    store.hold()
    store.next_read()
    one.add_message("e", "x")
    newest = one.newest_id
    assert newest == two.newest_id == "e1-1"
    store.release()
    assert received(one, store, one.open(newest)) == []


# -- The end ------------------------------------------------------------------------------


@pytest.mark.native
def test_close_waits_for_what_was_added(store):
    channel = following(store)
    stream = channel.open()
    stream.flush()
    store.hold()
    store.next_read()
    channel.add_message("e", "last")
    threads = Threads()
    threads.start(channel.close)
    store.next_read()
    assert not stream.closed
    store.release()
    threads.join()
    assert stream.closed
    assert stream.data_to_send() == b"event: e\ndata: last\nid: e1-1\n\n"


@pytest.mark.native
@pytest.mark.parametrize("how", ["held", "away", "asking fails", "no thread"])
def test_close_waits_within_a_bound(store, monkeypatch, warnings, how):
    monkeypatch.setattr(sse, "_PATIENCE", 0.05)
    monkeypatch.setattr(sse, "_PAUSE", 0.001)
    channel = following(store)
    stream = channel.open()
    if how == "held":
        store.hold()
    elif how == "away":
        store.failing = lambda: 1 / 0
    elif how == "asking fails":
        store.newest = lambda: 1 / 0
    else:
        log(channel).ended = True
    channel.add_message("e", "x") if how != "asking fails" else None
    channel.close()
    assert stream.closed and channel.closed
    log(channel).thread.join(FOREVER)
    assert not log(channel).thread.is_alive()


@pytest.mark.native
@pytest.mark.parametrize("used", [False, True])
def test_a_closed_channel(store, used):
    channel = following(store)
    stream = channel.open() if used else None
    channel.to("a").close()
    assert not channel.closed
    channel.close()
    channel.close()
    assert channel.closed and channel.to("a").closed and (not used or stream.closed)
    store.failing = lambda: 1 / 0
    for last in (None, "e1-0", "e1-9", "x"):
        assert channel.open(last).closed
    with pytest.raises(Closed):
        channel.add_message("e", "x")
    assert store.entries == [] and channel.streams == []
    if used:
        log(channel).thread.join(FOREVER)
        assert not log(channel).thread.is_alive()


# -- A fork -------------------------------------------------------------------------------


if hasattr(os, "fork"):
    @pytest.mark.native
    @pytest.mark.parametrize("closed", [False, True])
    def test_a_child_has_a_log_of_its_own(store, closed):
        """Even if it is forked while locks are held: not the parent's streams, place and thread."""
        channel = following(store)
        stream = channel.open()
        channel.add_message("e", "before")
        assert received(channel, store, stream) == ["before"]
        parents = log(channel).logs[os.getpid()]
        if closed:
            channel.close()
        with parents.lock, parents.changed:
            child = os.fork()
            if not child:
                try:
                    store.changed = threading.Condition()       # it is in the parent's memory
                    assert channel.closed == closed
                    assert channel.streams == []
                    new = channel.open("e1-0")
                    assert new.closed == closed
                    if not closed:
                        channel.add_message("e", "childs")
                        assert received(channel, store, new) == ["before", "childs"]
                        assert bytes(stream) == b"" and channel.streams == [new]
                        assert log(channel).thread is not parents.thread
                        channel.close()
                    os._exit(0)
                finally:
                    os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        if not closed:
            channel.add_message("e", "after")
            assert received(channel, store, stream) == ["after"]
