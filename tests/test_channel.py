"""`Channel`: whatever is added goes to every open stream."""

from __future__ import unicode_literals

import collections
import gc
import random
import signal
import threading
import weakref

import pytest

import sse as module
from sse import Channel, Closed, Sse
from spec_decoder import Decoder
from support import COMMENT, FOREVER, Reader, Threads


def silent(**options):
    """A channel whose streams begin with nothing."""
    return Channel(default_retry=None, **options)


ADDS = [
    (lambda to: to.add_message("e", "x"), b"event: e\ndata: x\n\n"),
    (lambda to: to.add_message(None, ["x", b"y"], "utf-8", 7), b"data: x\ndata: y\nid: 7\n\n"),
    (lambda to: to.add_message("e", "x", event_id=""), b"event: e\ndata: x\nid\n\n"),
    (lambda to: to.add_json("e", {"a": 1}, event_id=8), b'event: e\ndata: {"a":1}\nid: 8\n\n'),
    (lambda to: to.add_event_tick("x"), b"event: tick\ndata: x\n\n"),
    (lambda to: to.add_comment("ping\npong"), b": ping\n: pong\n"),
]


@pytest.mark.parametrize("add, wire", ADDS)
def test_every_open_stream_gets_it(add, wire):
    channel = silent()
    early, late = channel.open(), channel.open()
    add(channel)
    too_late = channel.open()
    assert early.data_to_send() == late.data_to_send() == wire
    assert too_late.data_to_send() == b""


@pytest.mark.parametrize("add, wire", ADDS)
def test_it_is_encoded_once(add, wire):
    channel = silent()
    first, second = channel.open(), channel.open()
    add(channel)
    assert first._buffer[0] is second._buffer[0]


@pytest.mark.parametrize("call, error", [
    (lambda to: to.add_message("a\nb", "x"), ValueError),
    (lambda to: to.add_message("e", 5), TypeError),
    (lambda to: to.add_message("e", "\ud800"), UnicodeEncodeError),
    (lambda to: to.add_message("e", b"\xff"), UnicodeDecodeError),
    (lambda to: to.add_message("e", b"x", "zlib"), LookupError),
    (lambda to: to.add_message("e", "x", event_id=" 7"), ValueError),
    (lambda to: to.add_json("e", float("nan")), ValueError),
    (lambda to: to.add_json("e", object()), TypeError),
    (lambda to: to.add_comment(None), TypeError),
    (lambda to: to.add_message("e", "x" * 200), BufferError),
    (lambda to: to.add_comment("x" * 200), BufferError),
    (lambda to: to.set_retry(5), AttributeError),
    (lambda to: to.set_event_id(5), AttributeError),
    (lambda to: to.add_evnt_x("x"), AttributeError),
])
@pytest.mark.parametrize("history", [0, 5])
def test_bad_input_raises_and_no_stream_notices(call, error, history):
    channel = silent(history=history, max_pending=150)
    client = channel.open()
    client.flush()
    newest = channel.newest_id
    with pytest.raises(error):
        call(channel)
    assert channel.streams == [client] and not client.closed
    assert client.data_to_send() == b""
    assert channel.newest_id == newest
    channel.add_message("after", "x", event_id=1)
    assert client.data_to_send() == b"event: after\ndata: x\nid: 1\n\n"


def test_the_error_for_an_unknown_attribute_names_the_class():
    with pytest.raises(AttributeError) as info:
        Channel().add_evnt_x
    assert str(info.value) == "'Channel' object has no attribute 'add_evnt_x'"


@pytest.mark.parametrize("arguments, error, words", [
    ({"history": -1}, ValueError, "history"), ({"history": 1.0}, TypeError, "history"),
    ({"history": True}, TypeError, "history"), ({"history": None}, TypeError, "history"),
    ({"default_retry": -1}, ValueError, "retry"), ({"default_retry": 2 ** 31}, ValueError, "retry"),
    ({"default_retry": "2"}, TypeError, "retry"), ({"default_retry": True}, TypeError, "retry"),
    ({"max_pending": 0}, ValueError, "max_pending"),
    ({"max_pending": "5"}, TypeError, "max_pending"),
    ({"reset_event": "a\nb"}, ValueError, "reset_event"),
    ({"reset_event": None}, TypeError, "reset_event"),
    ({"reset_event": 5}, TypeError, "reset_event"),
    ({"reset_event": "\ud800"}, UnicodeEncodeError, "surrogates"),
])
def test_the_arguments_are_checked_at_once(arguments, error, words):
    with pytest.raises(error) as info:
        Channel(**{str(name): value for name, value in arguments.items()})
    assert words in str(info.value)


def environ(method="GET", **more):
    return dict({"REQUEST_METHOD": str(method)}, **more)


class Request(object):
    def __init__(self, **attributes):
        vars(self).update(attributes)


@pytest.mark.parametrize("request_of", [
    environ,
    lambda method: {"type": "http", "method": method, "headers": []},
    lambda method: Request(environ=environ(method)),
    lambda method: Request(META=environ(method)),
    lambda method: Request(scope={"type": "http", "method": method, "headers": []}),
    lambda method: Request(headers={}, method=method),
], ids=["environ", "scope", "Flask", "Django", "Starlette", "aiohttp"])
def test_head_leaves_nothing_open(request_of):
    channel = Channel(history=5)
    head = channel.open(request_of("HEAD"))
    assert head.closed and bytes(head) == b""
    assert channel.streams == []
    client = channel.open(request_of("GET"))
    assert not client.closed and channel.streams == [client]


def test_a_header_named_method_is_not_a_head_request():
    assert not Channel().open({"method": "HEAD"}).closed
    assert not Channel().open(Request(headers={"method": "HEAD"}, method="GET")).closed


@pytest.mark.parametrize("sent", [5, [], object(), {"x"}, True], ids=repr)
def test_open_refuses_what_is_not_a_request(sent):
    channel = Channel()
    with pytest.raises(TypeError):
        channel.open(sent)
    assert channel.streams == []


def test_the_wsgi_application():
    channel = Channel(default_retry=0, history=5)
    channel.add_message("a", "1", event_id=1)
    called = []
    response = channel(environ(HTTP_LAST_EVENT_ID=str("0")), lambda *args: called.append(args))
    assert next(response).startswith(b"retry: 0\n\nevent: reset\n")
    assert called == [("200 OK", list(module.HEADERS))]
    assert len(channel.streams) == 1
    response.close()
    assert channel.streams == []
    assert list(channel(environ("HEAD"), lambda *args: None)) == []
    assert channel.streams == []


def test_a_stream_begins_with_a_reconnection_time_of_its_own():
    drawn = set()
    for _ in range(200):
        client = Decoder()
        client.feed(Channel(default_retry=1000).open().data_to_send())
        drawn.add(client.reconnection_time)
    assert min(drawn) >= 1000 and max(drawn) <= 2000 and len(drawn) > 50


@pytest.mark.parametrize("default_retry, least, most", [
    (0, 0, 0), (1, 1, 2), (2 ** 31 - 1, 2 ** 31 - 1, 2 ** 31 - 1),
    (2 ** 30 + 1, 2 ** 30 + 1, 2 ** 31 - 1),
])
def test_the_bounds_of_the_reconnection_time(default_retry, least, most):
    for _ in range(50):
        client = Decoder()
        client.feed(Channel(default_retry=default_retry).open().data_to_send())
        assert least <= client.reconnection_time <= most


# -- Streams that end ---------------------------------------------------------------------


def test_a_stream_that_is_closed_leaves_at_once():
    channel = silent()
    client, other = channel.open(), channel.open()
    client.close()
    assert channel.streams == [other]
    channel.add_message(None, "x")
    assert client.data_to_send() == b"" and other.data_to_send() == b"data: x\n\n"


@pytest.mark.parametrize("chunks", [0, 1])
def test_a_client_that_disconnects_leaves_at_once(chunks):
    channel = silent()
    client = channel.open()
    stream = client.stream()
    for _ in range(chunks):
        next(stream)
    assert channel.streams == [client]
    stream.close()
    assert channel.streams == [] and client.closed


def test_a_stream_that_is_dropped_leaves():
    channel = silent()
    stream = channel.open().stream()
    next(stream)
    del stream
    gc.collect()
    assert channel.streams == []


def test_a_stream_that_was_opened_and_never_used_leaves():
    """The handler failed between `open` and `stream`."""
    channel = silent(max_pending=None)
    for _ in range(100):
        channel.open()
    gc.collect()
    assert channel.streams == []
    assert ": 0 streams" in repr(channel)   # nor is its weak reference left


def test_it_leaves_without_waiting_for_the_lock():
    """A finalizer may run while another thread is in the middle of an add."""
    channel = silent()
    client = channel.open()
    stream = client.stream()
    next(stream)
    threads = Threads()
    with channel._lock:
        threads.start(stream.close)
        threads.join()
    assert channel.streams == []


@pytest.mark.usefixtures("tiny_switch_interval")
def test_streams_while_others_come_and_leave():
    channel = silent()
    stay = [channel.open() for _ in range(100)]
    threads = Threads()

    def come_and_leave():
        for _ in range(500):
            for client in [channel.open() for _ in range(10)]:
                client.close()

    thread = threads.start(come_and_leave)
    while thread.is_alive():
        assert channel.streams[:100] == stay
    threads.join()
    assert channel.streams == stay


def test_an_open_stream_does_not_keep_its_channel():
    """With all of its history."""
    channel = silent(history=5)
    client = channel.open()
    reference = weakref.ref(channel)
    del channel
    gc.collect()
    assert reference() is None
    client.close()


def test_streams_is_a_list_of_its_own():
    channel = silent()
    client = channel.open()
    del channel.streams[:]
    assert channel.streams == [client] and type(channel.streams) is list


def test_an_add_to_one_stream_alone():
    channel = silent()
    first, second = channel.open(), channel.open()
    channel.streams[0].add_message(None, "x")
    assert sorted([first.data_to_send(), second.data_to_send()]) == [b"", b"data: x\n\n"]


def test_close_ends_every_stream_with_what_is_pending():
    channel = silent()
    streams = [channel.open().stream() for _ in range(3)]
    assert [next(stream) for stream in streams] == [COMMENT] * 3
    channel.add_message(None, "last")
    channel.close()
    assert [list(stream) for stream in streams] == [[b"data: last\n\n"]] * 3
    assert channel.closed and channel.streams == []
    channel.close()


def test_close_ends_a_stream_that_waits():
    channel = silent()
    reader = Reader(channel.open().stream(keepalive=None))
    assert reader.get() == COMMENT
    channel.close()
    assert reader.get() is None


@pytest.mark.parametrize("add, wire", ADDS)
def test_adding_after_close(add, wire):
    channel = silent()
    channel.close()
    with pytest.raises(Closed) as info:
        add(channel)
    assert isinstance(info.value, ValueError) and "closed" in str(info.value)


@pytest.mark.parametrize("add", [
    lambda channel: channel.add_message(None, "more than fits"),
    lambda channel: channel.add_message(None, "x", event_id=""),
])
def test_after_close_all_else_that_is_wrong_is_of_no_interest(add):
    channel = silent(history=1, max_pending=20)
    channel.close()
    with pytest.raises(Closed):
        add(channel)


def test_open_after_close_gives_a_closed_stream_with_what_was_missed():
    channel = silent(history=5)
    channel.add_message(None, "1", event_id=1)
    channel.add_message(None, "2", event_id=2)
    channel.close()
    client = channel.open("1")
    assert client.closed and channel.streams == []
    assert list(client.stream()) == [b"data: 2\nid: 2\n\n"]


# -- Slow clients -------------------------------------------------------------------------


def test_a_slow_client_is_closed_and_hurts_nobody():
    channel = silent(max_pending=100)
    slow, fast = channel.open(), channel.open()
    for number in range(20):
        channel.add_message(None, "%02d" % number)
        assert fast.data_to_send() == ("data: %02d\n\n" % number).encode()
    assert slow.closed and channel.streams == [fast]
    # Nothing is dropped from the middle: it gets all that fitted, and then the end.
    assert list(slow.stream()) == [
        b"".join(("data: %02d\n\n" % number).encode() for number in range(10))]


def test_a_slow_client_whose_stream_waits_is_woken():
    channel = silent(max_pending=100)
    client = channel.open()
    reader = Reader(client.stream(keepalive=None))
    assert reader.get() == COMMENT
    client._buffer.append(b"x" * 90)    # without the hook
    channel.add_message(None, "too much")
    assert reader.get() == b"x" * 90
    assert reader.get() is None


def test_what_fits_no_stream_raises_and_closes_none():
    channel = silent(max_pending=9)
    client = channel.open()
    channel.add_message(None, "x")
    client.flush()
    with pytest.raises(BufferError) as info:
        channel.add_message(None, "xx")
    assert "10 bytes" in str(info.value) and "max_pending is 9" in str(info.value)
    assert not client.closed
    unbounded = silent(max_pending=None)
    client = unbounded.open()
    unbounded.add_message(None, "x" * 10 ** 6)
    assert len(client.data_to_send()) == 10 ** 6 + 8


def test_the_id_of_the_channels_own_counts():
    channel = silent(history=1, max_pending=60)
    client = channel.open()
    client.flush()
    with pytest.raises(BufferError):
        channel.add_message(None, "x" * 50)
    channel.add_message(None, "x" * 10)
    assert not client.closed
    client.flush()
    channel.add_comment("x" * 57)       # has none
    assert not client.closed


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


# -- One order ----------------------------------------------------------------------------


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
            self.inbox = channel._inbox
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

    channel._inbox = Late()
    channel.add_message(None, "outer")
    assert client.data_to_send() == b"data: outer\n\ndata: late\n\n"


def test_a_call_returns_when_it_was_done_by_another_thread():
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


def test_a_call_returns_when_another_thread_has_done_it_and_not_before():
    """Also if that one took it just before this one looked."""
    channel = silent()
    client = channel.open()
    threads = Threads()
    appended, taken, go_on = threading.Event(), threading.Event(), threading.Event()

    class Inbox(collections.deque):
        def append(self, job):
            collections.deque.append(self, job)
            if threading.current_thread() in publishers[1:]:
                appended.set()
                assert taken.wait(FOREVER)

    def start_the_second():
        publishers.append(None)
        publishers[1] = threads.start(publish_second)
        assert appended.wait(FOREVER)

    def publish_second():
        publishers[1] = threading.current_thread()
        channel.add_message(None, "2")

    publishers = [None]
    channel._inbox = Inbox()
    middle = interrupted(channel, start_the_second, lambda: (taken.set(), go_on.wait(FOREVER)))
    threads.start(channel.add_message, None, "1")
    assert taken.wait(FOREVER)
    publishers[1].join(0.05)
    assert publishers[1].is_alive()
    go_on.set()
    threads.join()
    assert client.data_to_send() == middle.data_to_send() == b"data: 1\n\ndata: 2\n\n"


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
    channel._lock = Lock()
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
    channel._inside = InterruptedSet()
    channel._inside.interrupted = []
    with pytest.raises(KeyboardInterrupt):
        channel.add_message(None, "1")
    channel.add_message(None, "2")
    assert client.data_to_send() == b"data: 1\n\ndata: 2\n\n"


def test_a_stream_that_is_opened_and_closed_in_the_middle_of_an_add():
    channel = silent()
    opened = []

    def open_and_close():
        opened.append(channel.open())
        opened[0].close()

    client = interrupted(channel, open_and_close)
    channel.add_message(None, "x")
    assert channel.streams == [client]


def test_repr():
    channel = Channel(history=2)
    client = channel.open()
    for number in range(3):
        channel.add_message(None, "secret")
    assert repr(channel) == "<Channel: 1 streams, 2 messages in the history>"
    assert type(repr(channel)) is str
    channel.close()
    assert repr(channel) == "<Channel: 0 streams, 2 messages in the history, closed>"
    assert client.closed


# -- Storm --------------------------------------------------------------------------------


class Client(object):
    """A client that breaks off at random and reconnects with the id that it saw last."""

    def __init__(self, channel, seed, total):
        self.channel = channel
        self.random = random.Random(seed)
        self.total = total
        self.last = channel.newest_id
        self.seen = []
        self.resets = 0

    def run(self):
        while len(self.seen) < self.total:
            client = Decoder()
            stream = self.channel.open(self.last).stream(keepalive=60)
            chunks = self.random.randrange(1, 30)
            for chunk in stream:
                client.feed(chunk)
                chunks -= 1
                if not chunks or len(self.seen) + len(client.events) >= self.total:
                    break
            stream.close()
            for event, data, _ in client.events:
                self.resets += event == "reset"
                self.seen.append(data)
            self.last = client.last_event_id or self.last


@pytest.mark.usefixtures("tiny_switch_interval")
@pytest.mark.parametrize("max_pending", [None, 1048576, 2000])
def test_clients_that_break_off_and_reconnect_get_each_event_once_in_one_order(max_pending):
    total = 1500
    channel = Channel(history=2 * total, max_pending=max_pending)
    clients = [Client(channel, seed, 2 * total) for seed in range(6)]
    threads = Threads()
    for client in clients:
        threads.start(client.run)

    def publish(name):
        for number in range(total):
            channel.add_message(None, "%s %d" % (name, number))

    for name in "ab":
        threads.start(publish, name)
    threads.join()
    orders = [client.seen for client in clients]
    assert all(order == orders[0] for order in orders)
    for name in "ab":
        numbers = [int(data.split()[1]) for data in orders[0] if data.startswith(name)]
        assert numbers == list(range(total))
    assert [client.resets for client in clients] == [0] * 6
    assert channel.streams == []
