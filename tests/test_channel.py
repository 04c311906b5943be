"""`Channel`: whatever is added goes to every open stream. Its arguments, and its requests."""

from __future__ import unicode_literals

import pytest

from spec_decoder import Decoder
from sse import Channel, Closed, HEADERS
from support import silent


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
    assert called == [("200 OK", list(HEADERS))]
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


def test_an_add_to_one_stream_alone():
    channel = silent()
    first, second = channel.open(), channel.open()
    channel.streams[0].add_message(None, "x")
    assert sorted([first.data_to_send(), second.data_to_send()]) == [b"", b"data: x\n\n"]


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
