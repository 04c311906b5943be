"""Whatever happens between two lines of a call: by a thread, a signal handler or a finalizer.

Each test is run once for every line of sse.py that the call runs; `Moment` says how.
"""

from __future__ import unicode_literals

import itertools
import signal
import sys
import threading

import pytest
import six

from spec_decoder import Decoder
from sse import Closed, Sse
from support import (
    COMMENT, FOREVER, Moment, Reader, Threads, at_calls, log, moments, silent, where_it_may_raise)

# -- One `Sse` ---------------------------------------------------------------------------


def data(*texts):
    return "".join("data: %s\n\n" % text for text in texts).encode()


def by_data_to_send(sse):
    return sse.data_to_send


def by_iteration(sse):
    return lambda: "".join(sse).encode()


def by_stream(sse):
    chunks = sse.stream(keepalive=0.001)
    assert next(chunks) == COMMENT
    return lambda: next(chunks, b"").replace(COMMENT, b"")


READERS = [by_data_to_send, by_iteration, by_stream]


def filled(reader_of, count, last_id):
    """An `Sse`, what takes from it, and what is pending: messages "0", "1" and so on, and an id."""
    sse = Sse(None)
    take = reader_of(sse)
    for number in range(count):
        sse.add_message(None, "%d" % number)
    if last_id:
        sse.set_event_id(last_id)
    return sse, take, bytes(sse)


@pytest.fixture
def watched(monkeypatch):
    """No stream of the `Sse` in this list falls asleep while a block is pending."""
    watched = []

    class Event(threading.Event().__class__):
        def wait(self, timeout=None):
            pending = b"data" in bytes(watched[-1])
            assert self.is_set() or not pending, "it would sleep"
            return super(Event, self).wait(timeout)

    monkeypatch.setattr(threading, "Event", Event)
    return watched


@pytest.mark.parametrize("last_id", [None, "5"])
@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("reader_of", READERS)
def test_a_writer_while_a_reader_takes(reader_of, count, last_id, watched):
    """All arrives in the order in which it was written; the id does not overtake the message."""
    for moment in moments():
        sse, take, before = filled(reader_of, count, last_id)
        watched.append(sse)

        def write():
            sse.add_message(None, "x")
            sse.set_event_id("7")
            sse.close()

        with moment(write):
            wire = take()
        if moment.left:
            assert wire == before
            continue
        while b"id: 7" not in wire:
            wire += take()
        with_id = data(*range(count)) + b"data: x\nid: 5\n\nid: 7\n\n"
        assert wire in (before + b"data: x\n\nid: 7\n\n", with_id)


@pytest.mark.parametrize("last_id", [None, "5"])
@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize("other_of", READERS[:2])
@pytest.mark.parametrize("reader_of", READERS)
def test_two_readers_share_whole_blocks(reader_of, other_of, count, last_id):
    for moment in moments():
        sse, take, before = filled(reader_of, count, last_id)
        taken = []
        with moment(lambda: taken.append(other_of(sse)())):
            taken.append(take())
        taken.append(sse.data_to_send())
        blocks = b"".join(taken).split(b"\n\n")
        assert sorted(blocks) == sorted(before.split(b"\n\n"))
        sse.add_message(None, "after")
        assert sse.data_to_send() == data("after")


def message(text, event_id=None):
    return lambda sse: sse.add_message(None, text, event_id=event_id)


ACTS = [message("y"), message("y", "6"), lambda sse: sse.set_event_id("7"), Sse.data_to_send,
        lambda sse: "".join(sse).encode()]


def blocks(*calls):
    """All blocks that are taken by these calls of an `Sse` with a pending id, and after them."""
    sse = Sse(None)
    sse.set_event_id("5")
    wire = b"".join([call(sse) or b"" for call in calls])
    return sorted((wire + sse.data_to_send()).split(b"\n\n"))


@pytest.mark.parametrize("add", [message("x"), message("x", "8")])
@pytest.mark.parametrize("act", ACTS)
def test_a_pending_id_while_a_message_is_added(act, add):
    """Either call may be the first; the id is sent once."""
    for moment in moments():
        results = []

        def both(sse):
            with moment(lambda: results.append(act(sse) or b"")):
                add(sse)
            return b"".join(results)

        assert blocks(both) in ([blocks(act, add), blocks(add, act)] if results else [blocks(add)])


@pytest.mark.parametrize("act, last", [(ACTS[0], b"5"), (ACTS[2], b"7")] + [
    (act, b"5") for act in ACTS[3:]])
def test_a_pending_id_while_a_message_is_refused(act, last):
    for moment in moments():
        sse = Sse(None, max_pending=50)
        sse.set_event_id("5")
        threads = Threads()
        results = []

        def run():
            # A thread of its own, as it may have to wait for the lock of the bound.
            threads.start(lambda: results.append(act(sse) or b"")).join(0.01)

        with moment(run):
            with pytest.raises(BufferError):
                sse.add_message(None, "x" * 50)
        threads.join()
        wire = b"".join(results) + sse.data_to_send()
        assert wire.count(b"id: ") == wire.count(b"id: " + (last if results else b"5")) == 1


def test_a_message_whose_add_is_interrupted():
    """It has the id, or nobody."""
    for moment in moments():
        sse = Sse(None)
        sse.set_event_id("5")
        try:
            with moment(interrupt):
                sse.add_message(None, "x")
        except KeyboardInterrupt:
            pass
        sse.add_message(None, "y")
        assert sse.data_to_send() in (b"data: x\nid: 5\n\ndata: y\n\n", b"data: y\nid: 5\n\n",
                                      b"data: y\n\n")


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize("look", [bytes, six.text_type, repr])
def test_a_look_while_a_writer_writes(look):
    for moment in moments():
        sse = Sse(None)
        sse.add_message(None, "1")
        looks = [look(sse)]

        def write():
            for step in (lambda: sse.add_message(None, "2"), lambda: sse.set_event_id("7")):
                step()
                looks.append(look(sse))

        with moment(write):
            seen = look(sse)
        assert seen in looks


@pytest.mark.parametrize("call", [lambda sse: sse.add_message(None, "x"), Sse.close])
def test_a_stream_that_begins_while_a_writer_writes(call):
    """And one that waits for it."""
    for moment in moments():
        sse = Sse(None)
        readers = []
        with moment(lambda: readers.append(Reader(sse.stream(None)))):
            call(sse)
        if readers:
            last = None if sse.closed else data("x")
            assert list(iter(lambda: readers[0].get(5), last)) in ([], [b""])
        sse.close()


def test_a_reader_takes_what_was_there_when_it_began():
    """Or a writer that is as quick could keep it for ever."""
    sse, take, before = filled(by_data_to_send, 2, None)
    moment = Moment(1)
    added = []

    def write():
        sse.add_message(None, "x")
        added.append(1)
        moment.left = len(added) < 100

    with moment(write):
        assert take().startswith(before)
    assert len(added) < 100


def test_two_that_ask_for_a_stream_at_once():
    for moment in moments():
        sse = Sse()
        streams = []

        def ask():
            try:
                streams.append(sse.stream())
            except RuntimeError:
                pass

        with moment(ask):
            ask()
        assert len(streams) == 1


# -- A `Channel` -------------------------------------------------------------------------


class Client(object):
    """It reads all that is pending at each `read`, and reconnects when its stream was closed."""

    def __init__(self, channel, topics=()):
        self.channel = channel
        self.topics = topics
        self.decoder = Decoder()
        self.sse = channel.open(None, topics)
        self.read()

    def read(self):
        """The data of all events so far."""
        ended = self.sse.closed
        self.decoder.feed(self.sse.data_to_send())
        if ended and not self.channel.closed:
            self.sse = self.channel.open(self.decoder.last_event_id, self.topics)
            self.decoder.feed(self.sse.data_to_send())
        assert "reset" not in [name for name, _, _ in self.decoder.events]
        return [text for _, text, _ in self.decoder.events]


def open_and_close(channel, client):
    client.other = channel.open()
    client.other.close()


CALLS = [
    lambda channel, client: channel.add_message(None, "1"),
    lambda channel, client: channel.to("all", "solo").add_message(None, "1", event_id="own"),
    lambda channel, client: channel.add_comment("x"),
    lambda channel, client: channel.open(),
    lambda channel, client: channel.open("unknown"),
    lambda channel, client: channel.newest_id,
    lambda channel, client: client.sse.close(),
    lambda channel, client: channel.streams,
    open_and_close,
    lambda channel, client: channel.open(None, ["solo"]),
    lambda channel, client: channel.to("solo").close(),
]


OPEN_SOLO = CALLS[9]


def here(channel, function, *args):
    function(*args)


def in_a_thread(channel, function, *args):
    """It may have to wait for the channel; what it has done is to be seen when it returns."""
    channel.threads.start(function, *args).join(0.01)


@pytest.mark.parametrize("run, act", [(here, act) for act in CALLS[:1] + CALLS[3:4] + CALLS[5:]]
                         + [(in_a_thread, CALLS[0])])
@pytest.mark.parametrize("call", CALLS)
def test_calls_of_a_channel(call, act, run):
    """Neither waits for ever; every client gets every event, all in one order."""
    for moment in moments():
        channel = silent(history=5)
        channel.threads = Threads()
        clients = [Client(channel, ["all"] + topics) for topics in (["solo"], [], [])]
        start = channel.newest_id
        channel.add_message(None, "0")

        acted = []

        def one():
            result = act(channel, clients[0])
            acted.append(result)
            if result is None and act is CALLS[0] and run is in_a_thread:
                assert b"data: 1" in bytes(clients[2].sse)

        results = []
        with moment(lambda: run(channel, one)):
            results.append(call(channel, clients[1]))
        channel.threads.join()
        assert not any(sse.closed for sse in channel.streams)
        opened = results * (call is OPEN_SOLO) + acted * (act is OPEN_SOLO)
        solo = [sse for sse in [clients[0].sse] + opened if not sse.closed]
        assert set(channel.to("solo").streams) == set(solo)
        opened = Client(channel)
        channel.add_message(None, "2")
        assert opened.read() == ["2"]
        expected = ["0"] + ["1"] * ((call in CALLS[:2]) + (act in CALLS[:1] and not moment.left))
        assert clients[2].read() == expected + ["2"]
        wire = channel.open(start, ["all"]).data_to_send()
        assert [client.read() for client in clients] == [clients[2].read()] * 3
        late = Client(channel)
        late.decoder.feed(wire)
        assert late.decoder.events == clients[2].decoder.events


def test_an_add_that_another_thread_takes_over():
    """It returns when its event was sent, and not before."""
    for number in itertools.count(1):
        for moment in moments(at_calls):
            channel = silent()
            client = channel.open()
            pause = Moment(number)
            threads = Threads()
            paused, go_on = threading.Event(), threading.Event()

            def other():
                with pause(lambda: (paused.set(), go_on.wait(0.01))):
                    channel.add_message(None, "other")
                paused.set()
                assert b"other" in bytes(client)

            thread = threads.start(other)
            paused.wait(FOREVER)
            with moment(lambda: (go_on.set(), thread.join(0.005))):
                channel.add_message(None, "x")
            threads.join()
        if pause.left:
            return


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("call", CALLS[:7])
def test_a_call_of_a_channel_that_is_interrupted(call, error):
    """The channel remains usable, and whoever did not get an event is closed, to reconnect."""
    def fail():
        frame = sys._getframe()
        while frame is not None:
            if frame.f_code.co_name == "_remove" and frame.f_back.f_code.co_name != "_end":
                return      # in a finalizer, which PyPy may run anywhere: nobody would get it
            frame = frame.f_back
        raise error

    # An interrupted open sends nothing: its stream is dropped.
    for moment in moments(where_it_may_raise if call in CALLS[:3] else at_calls):
        channel = silent(history=5)
        clients = [Client(channel, "all") for _ in range(3)]
        channel.add_message(None, "0")
        opened = []
        try:
            with moment(fail):
                opened.append(call(channel, clients[0]))
        except error:
            pass
        for number in "23":
            channel.add_message(None, number)
        texts = [client.read() for client in clients]
        assert texts == [texts[0]] * 3
        assert texts[0] in (["0", "2", "3"], ["0", "1", "2", "3"])
        assert Client(channel).read() == []


@pytest.mark.parametrize("call", CALLS[:1] + CALLS[3:7])
def test_a_channel_that_is_closed_meanwhile(call):
    """Every stream ends, those too that are opened just then."""
    for moment in moments():
        channel = silent(history=5)
        client = Client(channel)
        others = [client.sse, channel.open()]

        def close():
            channel.close()
            assert channel.closed
            with pytest.raises(Closed):
                channel.add_message(None, "late")

        with moment(close):
            try:
                others.append(call(channel, client))
            except Closed:
                pass
        if moment.left:
            channel.close()
        assert channel.streams == []
        assert all(sse.closed for sse in others if isinstance(sse, Sse))
        assert not any(b"late" in sse.data_to_send() for sse in others[:2])


@pytest.mark.parametrize("end", [Sse.close, lambda sse: sse.stream().close()])
@pytest.mark.parametrize("call", CALLS[:1] + CALLS[3:4])
def test_a_stream_leaves_without_waiting_for_the_channel(call, end):
    """It may do so in a finalizer, while another thread is in the middle of an add."""
    for moment in moments():
        channel = silent()
        client = Client(channel)
        threads = Threads()

        def leave():
            threads.start(end, client.sse)
            threads.join()

        with moment(leave):
            call(channel, client)
        assert moment.left or client.sse not in channel.streams


def test_a_generator_that_publishes_when_its_client_disconnects():
    for moment in moments():
        channel = silent()
        other = channel.open()

        def response(stream):
            try:
                for chunk in stream:
                    yield chunk
            finally:
                channel.add_message(None, "left")

        leaving = response(channel.open().stream())
        next(leaving)
        with moment(leaving.close):
            channel.add_message(None, "x")
        leaving.close()
        assert other.data_to_send() in (data("x", "left"), data("left", "x"))


if hasattr(signal, "setitimer"):
    def test_signal_handlers_that_publish():
        channel = silent(max_pending=None)
        client = channel.open()
        added = []

        def handler(signum, frame):
            channel.add_message(None, "signal")
            added.append(1)

        before = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        count = 0
        try:
            while len(added) < 200:
                channel.add_message(None, "x")
                count += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        wire = client.data_to_send()
        assert (wire.count(b"x\n"), wire.count(b"signal\n")) == (count, len(added))


class InterruptedSet(set):
    """A signal handler raises as soon as something was added."""

    raises = True

    def add(self, item):
        set.add(self, item)
        if self.raises:
            self.raises = False
            raise KeyboardInterrupt


def test_a_signal_handler_that_raises_does_not_silence_its_thread():
    channel = silent()
    client = channel.open()
    log(channel).inside = InterruptedSet()
    with pytest.raises(KeyboardInterrupt):
        channel.add_message(None, "1")
    channel.add_message(None, "2")
    assert client.data_to_send() == data("2")


def test_an_add_in_the_middle_of_an_add_that_is_interrupted():
    """It has returned: it must not wait until somebody adds another message."""
    channel = silent(history=5)
    clients = [channel.open("0"), channel.open("0")]
    woken = []

    def wake():
        woken.append(1)
        if len(woken) == 2:
            channel.add_message(None, "inner")
            raise KeyboardInterrupt

    for client in clients:
        client._wake = wake
    with pytest.raises(KeyboardInterrupt):
        channel.add_message(None, "outer")
    left, = [client for client in clients if not client.closed]
    assert b"data: inner" in left.data_to_send()
