"""Calls of a channel in the middle of others: signal handlers, finalizers, exceptions, threads."""

from __future__ import unicode_literals

import signal
import threading

import pytest

from sse import Closed, Sse
from support import FOREVER, Threads, log, silent


def test_whatever_happens_in_one_stream_reaches_nobody_else():
    channel = silent(history=5)
    clients = [channel.open() for _ in range(3)]

    def fail():
        raise OSError

    clients[1]._wake = lambda: clients[1].closed or fail()
    channel.add_message(None, "x", event_id=1)
    assert set(channel.streams) == {clients[0], clients[2]} and clients[1].closed
    assert clients[0].data_to_send() == clients[2].data_to_send()


def test_an_add_that_is_interrupted_closes_the_streams_that_did_not_get_it():
    channel = silent(history=5)
    clients = [channel.open() for _ in range(3)]

    def interrupt():
        if not clients[1].closed:
            raise KeyboardInterrupt

    clients[1]._wake = interrupt
    with pytest.raises(KeyboardInterrupt):
        channel.add_message(None, "x", event_id=1)
    for client in clients:
        assert client.closed or b"data: x" in client.data_to_send()
    assert b"data: x" in channel.open("0").data_to_send()


def test_a_stream_that_is_interrupted_before_it_gets_a_block_is_closed():
    channel = silent(history=5)
    client = channel.open("0")

    class Interrupted(Sse):
        def _add(self, block):
            raise KeyboardInterrupt

    client.__class__ = Interrupted
    with pytest.raises(KeyboardInterrupt):
        channel.add_message(None, "x", event_id=1)
    assert client.closed and channel.streams == []


class Interrupts(Sse):
    """A stream that is added to just when the channel is in the middle of an add."""

    def _add(self, block):
        super(Interrupts, self)._add(block)
        if self.calls:
            self.calls.pop()()


def interrupted(channel, *calls):
    client = channel.open()
    client.__class__ = Interrupts
    client.calls = list(reversed(calls))
    client.flush()
    return client


def test_an_add_in_the_middle_of_an_add_comes_after_it():
    channel = silent(history=5)
    client = interrupted(channel, lambda: channel.add_message(None, "inner", event_id="b"))
    other = channel.open()
    other.flush()
    channel.add_message(None, "outer", event_id="a")
    wire = b"data: outer\nid: a\n\ndata: inner\nid: b\n\n"
    assert client.data_to_send() == other.data_to_send() == wire
    assert channel.newest_id == "b"


def test_an_open_in_the_middle_of_an_add():
    channel = silent(history=5)
    opened = []
    middle = interrupted(channel, lambda: opened.append(channel.open()))
    channel.add_message(None, "outer", event_id="a")
    channel.add_message(None, "next", event_id="b")
    assert not middle.closed
    assert opened[0].data_to_send() == b"id: a\n\ndata: next\nid: b\n\n"


def test_a_close_in_the_middle_of_an_add():
    channel = silent()
    early = channel.open()
    refused = []

    def close():
        channel.close()
        assert channel.closed
        with pytest.raises(Closed):
            channel.add_message(None, "y")
        refused.append(1)

    middle = interrupted(channel, close)
    late = channel.open()
    channel.add_message(None, "x")
    for client in early, middle, late:
        assert client.closed and client.data_to_send() == b"data: x\n\n"
    assert refused


def test_an_open_in_the_middle_of_close():
    channel = silent()
    client = channel.open()
    opened = []
    client._wake = lambda: opened.append(channel.open())
    channel.close()
    assert opened[0].closed and channel.streams == []


def test_a_generator_that_publishes_when_its_client_disconnects():
    channel = silent()

    def response(client):
        try:
            for chunk in client.stream():
                yield chunk
        finally:
            channel.add_message("left", "x")

    other = channel.open()
    leaving = response(channel.open())
    next(leaving)
    middle = interrupted(channel, leaving.close)
    channel.add_message("e", "x")
    assert other.data_to_send() == b"event: e\ndata: x\n\nevent: left\ndata: x\n\n"
    assert middle.data_to_send() == b"event: e\ndata: x\n\nevent: left\ndata: x\n\n"


if hasattr(signal, "setitimer"):
    def test_signal_handlers_that_publish_in_the_middle_of_adds():
        channel = silent()
        client = channel.open()
        added = []

        def handler(signum, frame):
            channel.add_message("signal", "%d" % len(added))
            added.append(1)

        before = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        count = 0
        try:
            while len(added) < 200:
                channel.add_message("e", "%d" % count)
                count += 1
                client.flush() if count % 1000 == 0 else None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        channel.add_message("e", "last")
        assert client.data_to_send().endswith(b"event: e\ndata: last\n\n")
        assert not client.closed


def test_the_last_one_is_not_left_lying():
    """An add that comes when the outer one has looked for the last time, but still holds on."""
    channel = silent()
    client = channel.open()

    class Late(object):
        """False, and in this moment another add comes."""

        def __init__(self):
            self.inbox = log(channel).inbox
            self.looks = 0

        def append(self, job):
            self.inbox.append(job)

        def popleft(self):
            return self.inbox.popleft()

        def __bool__(self):
            if not self.inbox:
                self.looks += 1
                if self.looks == 1:
                    channel.add_message(None, "late")
                    return False
            return bool(self.inbox)

        __nonzero__ = __bool__

    log(channel).inbox = Late()
    channel.add_message(None, "outer")
    assert client.data_to_send() == b"data: outer\n\ndata: late\n\n"


def test_a_call_waits_for_that_of_another_thread():
    channel = silent()
    client = channel.open()
    held, go_on = threading.Event(), threading.Event()
    threads = Threads()
    blocker = interrupted(channel, lambda: (held.set(), go_on.wait(FOREVER)))
    blocker.flush()
    threads.start(channel.add_message, None, "1")
    assert held.wait(FOREVER)
    publisher = threads.start(channel.add_message, None, "2")
    publisher.join(0.05)
    assert publisher.is_alive()
    go_on.set()
    threads.join()
    assert client.data_to_send() == b"data: 1\n\ndata: 2\n\n"


def test_a_signal_handler_that_publishes_just_when_the_lock_is_taken():
    channel = silent()
    client = channel.open()

    class Lock(object):
        taken = False

        def __enter__(self):
            assert not self.taken, "it would wait for ever"
            self.taken = True
            if not calls:
                calls.append(1)
                channel.add_message(None, "signal")

        def __exit__(self, *args):
            self.taken = False

    calls = []
    log(channel).lock = Lock()
    channel.add_message(None, "x")
    assert client.data_to_send() == b"data: x\n\ndata: signal\n\n"


def test_an_error_in_the_middle_leaves_the_channel_usable():
    channel = silent()

    def interrupt():
        raise KeyboardInterrupt

    middle = interrupted(channel, interrupt)
    with pytest.raises(KeyboardInterrupt):
        channel.add_message(None, "1")
    channel.add_message(None, "2")
    late = channel.open()
    channel.add_message(None, "3")
    assert late.data_to_send() == b"data: 3\n\n"
    assert middle.closed or middle.data_to_send()


class InterruptedSet(set):
    """A signal handler raises as soon as something was added."""

    def add(self, item):
        set.add(self, item)
        if item not in self.interrupted:
            self.interrupted.append(item)
            raise KeyboardInterrupt


def test_a_signal_handler_that_raises_does_not_silence_its_thread():
    channel = silent()
    client = channel.open()
    inside = log(channel).inside = InterruptedSet()
    inside.interrupted = []
    with pytest.raises(KeyboardInterrupt):
        channel.add_message(None, "1")
    channel.add_message(None, "2")
    assert client.data_to_send() == b"data: 2\n\n"


def test_a_stream_that_is_opened_and_closed_in_the_middle_of_an_add():
    channel = silent()
    opened = []

    def open_and_close():
        opened.append(channel.open())
        opened[0].close()

    client = interrupted(channel, open_and_close)
    channel.add_message(None, "x")
    assert channel.streams == [client]
