"""`Channel`: whatever is added goes to every open stream. Its arguments, and its requests."""

from __future__ import unicode_literals

import copy
import pickle

import pytest

from spec_decoder import decode
from sse import Channel, Closed, HEADERS
from support import rows, silent


ADDS = [
    (lambda to: to.add_message("e", "x"), b"event: e\ndata: x\n\n"),
    (lambda to: to.add_message(None, ["x", b"y"], "utf-8", 7), b"data: x\ndata: y\nid: 7\n\n"),
    (lambda to: to.add_message("e", "x", event_id=""), b"event: e\ndata: x\nid\n\n"),
    (lambda to: to.add_json("e", {"a": 1}, event_id=8), b'event: e\ndata: {"a":1}\nid: 8\n\n'),
    (lambda to: to.add_json("e", {1}, None, sorted), b"event: e\ndata: [1]\n\n"),
    (lambda to: to.add_event_tick("x"), b"event: tick\ndata: x\n\n"),
    (lambda to: to.add_event_tick("x", event_id=9), b"event: tick\ndata: x\nid: 9\n\n"),
    (lambda to: to.add_comment("ping\npong"), b": ping\n: pong\n"),
]
TARGETS = rows(
    ("all", lambda channel: channel),
    ("a topic", lambda channel: channel.to("a")),
    ("two topics", lambda channel: channel.to("b", "a")),
)
TARGETS_AND_NOBODY = TARGETS + rows(("nobody", lambda channel: channel.to()))


def test_what_a_channel_is_without_arguments(monkeypatch):
    asked = []
    monkeypatch.setattr("random.randint", lambda *range: asked.append(range) or 3000)
    channel = Channel()
    assert bytes(channel.open()) == b"retry: 3000\n\n" and asked == [(2000, 4000)]
    most = "x" * (1048576 - len(b"data: \n\n"))
    channel.add_message(None, most)
    with pytest.raises(BufferError):
        channel.add_message(None, most + "x")
    assert channel.newest_id is None


@pytest.mark.parametrize("add, wire", ADDS)
def test_every_open_stream_gets_it(add, wire):
    channel = silent()
    early, late = channel.open(), channel.open(topics="a")
    add(channel)
    assert early._buffer[0] is late._buffer[0]      # encoded once
    assert early.data_to_send() == late.data_to_send() == wire
    assert channel.open().data_to_send() == b""


@pytest.mark.parametrize("call, error", [
    (lambda to: to.add_message("a\nb", "x"), ValueError),
    (lambda to: to.add_message("e", 5), TypeError),
    (lambda to: to.add_message("e", "\ud800"), UnicodeEncodeError),
    (lambda to: to.add_message("e", b"\xff"), UnicodeDecodeError),
    (lambda to: to.add_message("e", b"x", "zlib"), LookupError),
    (lambda to: to.add_message("e", "x", event_id=" 7"), ValueError),
    (lambda to: to.add_message("e", "x", event_id=""), ValueError),
    (lambda to: to.add_json("e", float("nan")), ValueError),
    (lambda to: to.add_json("e", object()), TypeError),
    (lambda to: to.add_comment(None), TypeError),
    (lambda to: to.add_message("e", "x" * 200), BufferError),
    (lambda to: to.add_comment("x" * 200), BufferError),
    (lambda to: to.add_message("e", "x" * 200, keep=False), BufferError),
    (lambda to: to.set_retry(5), AttributeError),
    (lambda to: to.set_event_id(5), AttributeError),
    (lambda to: to.add_evnt_x("x"), AttributeError),
])
@pytest.mark.parametrize("target", TARGETS_AND_NOBODY)
def test_bad_input_raises_and_no_stream_notices(call, error, target):
    """Also where nobody would get it."""
    channel = silent(history=5, max_pending=150)
    client = channel.open(channel.newest_id, "a")
    newest = channel.newest_id
    with pytest.raises(error):
        call(target(channel))
    assert channel.streams == [client] and client.data_to_send() == b""
    assert channel.newest_id == newest
    channel.add_message("after", "x", event_id=1)
    assert client.data_to_send() == b"event: after\ndata: x\nid: 1\n\n"


@pytest.mark.parametrize("target", TARGETS)
def test_the_error_for_an_unknown_attribute_names_the_class(target):
    to = target(silent())
    with pytest.raises(AttributeError) as info:
        to.add_evnt_x
    assert str(info.value) == "%r object has no attribute 'add_evnt_x'" % type(to).__name__


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


@pytest.mark.parametrize("sent", [5, [], object(), {"x"}, True], ids=repr)
def test_open_refuses_what_is_not_a_request(sent):
    channel = Channel()
    with pytest.raises(TypeError):
        channel.open(sent)
    assert channel.streams == []


def environ(method, **more):
    return dict({"REQUEST_METHOD": str(method)}, **more)


def test_the_wsgi_application():
    channel = Channel(default_retry=0, history=5)
    channel.add_message("a", "1", event_id=1)
    called = []
    response = channel(environ("GET", HTTP_LAST_EVENT_ID=str("0")),
                       lambda *args: called.append(args))
    assert next(response).startswith(b"retry: 0\n\nevent: reset\n")
    assert called == [("200 OK", list(HEADERS))]
    assert len(channel.streams) == 1
    # It listens to no topic.
    channel.to("a").add_message(None, "secret")
    channel.add_message(None, "x", event_id=2)
    assert next(response) == b"data: x\nid: 2\n\n"
    response.close()
    assert channel.streams == []


def test_a_head_request():
    channel = Channel(history=5)
    assert list(channel(environ("HEAD"), lambda *args: None)) == []
    for request in environ("HEAD"), {"method": "HEAD", "type": "http", "headers": []}:
        client = channel.open(request, "a")
        assert client.closed and client.data_to_send() == b""
        assert channel.to("a").streams == channel.streams == []


@pytest.mark.parametrize("default_retry, least, most", [
    (1000, 1000, 2000), (0, 0, 0), (1, 1, 2), (2 ** 31 - 1, 2 ** 31 - 1, 2 ** 31 - 1),
    (2 ** 30 + 1, 2 ** 30 + 1, 2 ** 31 - 1),
])
def test_a_stream_begins_with_a_reconnection_time_of_its_own(default_retry, least, most):
    channel = Channel(default_retry=default_retry)
    drawn = [decode(channel.open().data_to_send()).reconnection_time for _ in range(200)]
    assert least <= min(drawn) <= (least + most) / 2.0 <= max(drawn) <= most
    assert len(set(drawn)) > min(50, most - least)


def test_an_add_to_one_stream_alone():
    channel = silent()
    first, second = channel.open(), channel.open()
    channel.streams[0].add_message(None, "x")
    assert sorted([first.data_to_send(), second.data_to_send()]) == [b"", b"data: x\n\n"]


def test_repr():
    channel = Channel(history=2)
    client = channel.open(None, "a")
    for number in range(3):
        channel.add_message(None, "secret")
    assert repr(channel) == "<Channel: 1 streams, 2 messages in the history>"
    assert type(repr(channel)) is str
    assert repr(channel.to("a", "b")) == "<_Audience: 1 streams>"
    assert repr(channel.to()) == "<_Audience: 0 streams>"
    channel.close()
    assert repr(channel) == "<Channel: 0 streams, 2 messages in the history, closed>"
    assert client.closed


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("target", TARGETS[:2])
def test_no_copies(duplicate, target):
    """Two with one set of streams, and two orders."""
    original = target(silent())
    with pytest.raises(TypeError) as info:
        duplicate(original)
    assert str(info.value) == "%s cannot be copied or pickled" % type(original).__name__


@pytest.mark.parametrize("add", [add for add, _ in ADDS])
@pytest.mark.parametrize("target", TARGETS_AND_NOBODY)
def test_adding_after_close(add, target):
    """Whatever else is wrong with it: here it has no room either."""
    channel = silent(history=1, max_pending=5)
    to = target(channel)
    assert to.closed is False
    channel.close()
    assert to.closed is True and to.streams == []
    with pytest.raises(Closed) as info:
        add(to)
    assert isinstance(info.value, ValueError) and "closed" in str(info.value)
    to.close()


# -- keep=False ---------------------------------------------------------------------------


@pytest.mark.parametrize("add, wire", [
    (lambda to: to.add_message("e", "x", keep=False), b"event: e\ndata: x\n\n"),
    (lambda to: to.add_message(None, b"x", "utf-8", None, False), b"data: x\n\n"),
    (lambda to: to.add_json("e", {1}, None, sorted, False), b"event: e\ndata: [1]\n\n"),
    (lambda to: to.add_event_tick("x", keep=False), b"event: tick\ndata: x\n\n"),
    (lambda to: to.add_comment("x", False), b": x\n"),
    (lambda to: to.add_comment("x"), b": x\n"),
])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("history", [0, 3])
def test_not_kept(add, wire, target, history):
    """It takes no place in the history, and has no number."""
    channel = silent(history=history)
    channel.add_message(None, "before")
    newest = channel.newest_id
    live = channel.open(newest, "a")
    for _ in range(5):
        add(target(channel))
    assert live.data_to_send() == wire * 5
    assert channel.newest_id == newest
    assert channel.open(newest, "a").data_to_send() == b""
    if history:
        events = decode(channel.open("unknown", "a").data_to_send()).events
        assert [event.data for event in events] == ["", "before"]
        channel.add_message(None, "after")
        assert channel.newest_id == newest[:-1] + "2"


ADDS_WITH = [
    lambda to, **more: to.add_message(None, "x", **more),
    lambda to, **more: to.add_json(None, "x", **more),
    lambda to, **more: to.add_event_tick("x", **more),
]


@pytest.mark.parametrize("add", ADDS_WITH)
@pytest.mark.parametrize("target", TARGETS_AND_NOBODY)
@pytest.mark.parametrize("history", [0, 3])
def test_not_kept_and_an_id_are_refused(add, target, history):
    channel = silent(history=history)
    live = channel.open(channel.newest_id, "a")
    for event_id in ["7", b"7", 0, "", b""]:
        with pytest.raises(ValueError) as info:
            add(target(channel), event_id=event_id, keep=False)
        assert "kept" in str(info.value)
        assert live.data_to_send() == b""
    add(target(channel), event_id="7", keep=True)
    add(target(channel), event_id=None, keep=False)


@pytest.mark.parametrize("keep", [None, 0, 1, "x", []], ids=repr)
@pytest.mark.parametrize("target", TARGETS_AND_NOBODY)
def test_keep_is_a_bool(keep, target):
    channel = silent(history=3)
    newest = channel.newest_id
    for add in ADDS_WITH + [lambda to, keep: to.add_comment("x", keep=keep)]:
        with pytest.raises(TypeError) as info:
            add(target(channel), keep=keep)
        assert str(info.value).endswith("keep must be True or False, not " + type(keep).__name__)
    assert channel.newest_id == newest


@pytest.mark.parametrize("history", [0, 3])
def test_the_size_of_what_is_not_kept(history):
    """It may be as long as max_pending, where an id of the channel's own needs some of it."""
    channel = silent(history=history, max_pending=100)
    live = channel.open(channel.newest_id, "a")
    channel.to("a").add_message(None, "x" * 92, keep=False)
    assert len(live.data_to_send()) == 100
    with pytest.raises(BufferError):
        channel.to("a").add_message(None, "x" * 93, keep=False)
    assert not live.closed
