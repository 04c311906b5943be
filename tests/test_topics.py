# -*- coding: utf-8 -*-
"""Topics: what is added to some streams of a channel reaches these and nobody else."""

from __future__ import unicode_literals

import copy
import gc
import inspect
import pickle
import sys
import threading
import weakref

import pytest
import six

from held import held
from spec_decoder import Decoder
from sse import Channel, Closed, Sse
from support import evil, FOREVER, lying, log, rows, silent, Threads


def data(sse):
    """The data of the events that are pending."""
    return [event.data for event in Decoder().feed(sse.data_to_send())]


def received(channel, last_event_id, topics=()):
    """The data, or else the type, of what a client is brought up to date with."""
    client = Decoder()
    sse = channel.open(last_event_id, topics)
    sse.close()
    client.feed(sse.data_to_send())
    return [text or name for name, text, _ in client.events]


def own_id(channel, number):
    """The id of the channel's own that has this number."""
    return "%s-%d" % (channel.newest_id.split("-")[0], number)


ADDS = [
    (lambda to: to.add_message("e", "x"), b"event: e\ndata: x\n\n"),
    (lambda to: to.add_message(None, ["x", b"y"], "utf-8", 7), b"data: x\ndata: y\nid: 7\n\n"),
    (lambda to: to.add_json("e", {"a": 1}, event_id=8), b'event: e\ndata: {"a":1}\nid: 8\n\n'),
    (lambda to: to.add_json("e", {1}, None, sorted), b"event: e\ndata: [1]\n\n"),
    (lambda to: to.add_event_tick("x"), b"event: tick\ndata: x\n\n"),
    (lambda to: to.add_event_tick("x", event_id=9), b"event: tick\ndata: x\nid: 9\n\n"),
    (lambda to: to.add_comment("ping\npong"), b": ping\n: pong\n"),
]


# -- Who gets it --------------------------------------------------------------------------


@pytest.mark.parametrize("add, wire", ADDS)
def test_those_that_listen_get_it_and_nobody_else(add, wire):
    channel = silent()
    both, one, other, none = [channel.open(None, topics) for topics in (["a", "b"], "a", "c", ())]
    add(channel.to("a"))
    assert [sse.data_to_send() for sse in (both, one, other, none)] == [wire, wire, b"", b""]
    add(channel)
    assert [sse.data_to_send() for sse in (both, one, other, none)] == [wire] * 4


@pytest.mark.parametrize("listens, sent, times", [
    # Who listens to several of them gets it once.
    (["a", "b"], ["a", "b"], 1), (["a", "b"], ["b", "a", "c"], 1), (["a"], ["a", "a"], 1),
    (["a", "a"], ["a"], 1), (["a"], ["b", "a"], 1), (["b"], ["a"], 0), ([], ["a"], 0),
    # One, or a list, tuple, set or frozenset of them, as text or as bytes of UTF-8.
    ("a", ["a"], 1), (b"a", ["a"], 1), ("a", [b"a"], 1), (("a", "b"), ["b"], 1),
    ({"a", "b"}, ["b"], 1), (frozenset(["a"]), ["a"], 1), ([b"a", "b"], ["a"], 1),
    ("\u2026", ["\u2026".encode("utf-8")], 1), ("\u2026".encode("utf-8"), ["\u2026"], 1),
    # Text is one topic, and not its characters.
    ("ab", ["a"], 0), (b"ab", ["a"], 0), ("a,b", ["a"], 0), ("a b", ["a"], 0),
    # Anything that is text is one.
    (" ", [" "], 1), ("\n", ["\n"], 1), ("\0", ["\0"], 1), ("*", ["a"], 0), ("a", ["*"], 0),
    ("x" * 1024, ["x" * 1024], 1), ("\u2026" * 341, ["\u2026" * 341], 1),
])
def test_topics(listens, sent, times):
    for channel in silent(), silent(history=3):
        sse = channel.open(channel.newest_id, listens)
        channel.to(*sent).add_message(None, "x", event_id=1)
        assert sse.data_to_send() == b"data: x\nid: 1\n\n" * times
        assert received(channel, channel.newest_id, listens) == []
        assert sse in channel.to(*sent).streams or not times


def test_it_is_encoded_once():
    channel = silent()
    first, second = channel.open(topics="a"), channel.open(topics=["a", "b"])
    channel.to("a", "b").add_message(None, "x")
    assert next(iter(first._buffer)) is next(iter(second._buffer))


def test_what_is_for_all_and_what_is_for_some_have_one_order():
    channel = silent(history=10)
    live = channel.open(channel.newest_id, ["a", "b"])
    start = channel.newest_id
    for number, to in enumerate(map(channel.to, "abcab")):
        to.add_message(None, "%d" % number)
        channel.add_message(None, "all %d" % number)
    order = ["0", "all 0", "1", "all 1", "all 2", "3", "all 3", "4", "all 4"]
    assert data(live) == received(channel, start, ["b", "a"]) == order


def test_the_wsgi_application_listens_to_no_topic():
    channel = silent()
    chunks = channel({"REQUEST_METHOD": str("GET")}, lambda *args: None)
    next(chunks)
    channel.to("a").add_message(None, "secret")
    channel.add_message(None, "x")
    assert next(chunks) == b"data: x\n\n"


def test_what_to_gives_can_be_kept():
    channel = silent()
    room = channel.to("a")
    sse = channel.open(topics="a")
    room.add_message(None, "1")
    room.add_message(None, "2")
    assert data(sse) == ["1", "2"] and room.streams == [sse]


@pytest.mark.parametrize("change", [
    lambda topics: topics.append("b"), lambda topics: topics.__setitem__(0, "b"),
    lambda topics: topics.__delitem__(0)])
def test_the_topics_of_a_stream_do_not_change(change):
    channel, topics = silent(), ["a"]
    sse = channel.open(None, topics)
    change(topics)
    channel.to("b").add_message(None, "b")
    channel.to("a").add_message(None, "a")
    assert data(sse) == ["a"]


# -- Nothing leaks ------------------------------------------------------------------------

ALIKE = [
    ("a", "b"), ("room", "Room"), ("\xe9", "\xc9"), ("\xdf", "ss"),
    ("\xe9", "e\u0301"), ("\u2126", "\u03a9"), ("\ufb01", "fi"), ("a", "\uff41"), ("a", "\u0430"),
    ("a", "a "), ("a", " a"), ("a", "a\n"), ("a", "a\0"), ("a", "a\u200b"), ("a", "\ufeffa"),
    ("room:4", "room:42"), ("user:7", "user:07"), ("7", "\u0667"), ("a/b", "a%2Fb"),
    ("x" * 1023, "x" * 1024), ("\xe9", "\xc3\xa9"), ("None", "none"), ("()", "[]"),
    # One that says it is another, and has its hash.
    ("a", lying(six.text_type, evil)("b")), (lying(six.text_type, evil)("a"), "b"),
    (lying(six.text_type, evil)("a"), lying(six.text_type, evil)("b")),
    ("a", lying(bytes, evil)(b"b")), (lying(bytes, evil)(b"a"), "b"),
]


@pytest.mark.parametrize("ours, theirs", rows(*[(number,) + row for number, row in
                                                enumerate(ALIKE)]))
@pytest.mark.parametrize("swapped", [False, True])
def test_nothing_reaches_who_does_not_listen(ours, theirs, swapped):
    if swapped:
        ours, theirs = theirs, ours
    channel = silent(history=2)
    start = channel.newest_id
    live = channel.open(start, [theirs])
    for add in [add for add, _ in ADDS] + [
            lambda to: to.add_message(None, "x", keep=False),
            lambda to: to.add_json(None, "x", keep=False),
            lambda to: to.add_event_tick("x", keep=False),
            lambda to: to.add_comment("x", keep=False)]:
        add(channel.to(ours))
        assert live.data_to_send() == b""
        assert received(channel, start, [theirs]) == []     # by replay
        assert received(channel, "unknown", [theirs]) == ["reset"]
        assert received(channel, "unknown") == ["reset"]
    assert channel.to(ours).streams == [] and channel.to(theirs).streams == [live]
    channel.to(ours).close()
    assert not live.closed
    # And those that do listen hear it.
    assert received(channel, "unknown", [ours]) == ["reset", "x", "x"]
    listens = channel.open(None, [ours])
    listens.flush()
    channel.to(ours).add_message(None, "x")
    assert data(listens) == ["x"]


def test_the_slips_that_would_send_a_secret_to_all():
    user = None
    channel = silent()
    sse = channel.open()
    for call, error in [
            (lambda: channel.add_message("note", "secret", "user:7"), LookupError),
            (lambda: channel.add_event_note("secret", "user:7"), LookupError),
            (lambda: channel.to("user:7").add_message("note", "secret", "user:7"), LookupError),
            (lambda: Sse().add_message("note", "secret", "user:7"), LookupError),
            (lambda: channel.add_message("note", ["secret"], "user:7"), LookupError),
            (lambda: channel.add_message("note", [], "user:7"), LookupError),
            (lambda: channel.add_message("note", "secret", None), TypeError),
            (lambda: channel.add_message("note", "secret", ["user:7"]), TypeError),
            (lambda: channel.add_message("note", "secret", "zlib"), LookupError),
            (lambda: channel.to(user).add_message("note", "secret"), TypeError),
            (lambda: channel.add_message("note", "secret", to="user:7"), TypeError),
            (lambda: channel.add_message("note", "secret", topics=["user:7"]), TypeError)]:
        with pytest.raises(error) as info:
            call()
        assert "secret" not in str(info.value)
    assert sse.data_to_send() == b""


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "latin-1", str("utf-16")])
def test_an_encoding_of_text_is_looked_at_and_not_used(encoding):
    sse = Sse(None)
    sse.add_message(None, "\u2026", encoding)
    assert data(sse) == ["\u2026"]


@pytest.mark.parametrize("call", [
    lambda to: to.add_message("e", "x"), lambda to: to.add_json("e", 1, event_id=5),
    lambda to: to.add_comment(), lambda to: to.add_event_e("x", keep=False),
    lambda to: to.close(),
])
def test_to_without_topics_is_for_nobody(call):
    channel = silent(history=2)
    newest = channel.newest_id
    streams = [channel.open(newest, topics) for topics in ((), "a")]
    call(channel.to())
    assert [sse.data_to_send() for sse in streams] == [b"", b""]
    assert channel.to().streams == [] and set(channel.streams) == set(streams)
    assert not channel.closed and channel.newest_id == newest
    assert received(channel, "unknown", "a") == ["reset"]


# -- Refused ------------------------------------------------------------------------------

BAD = [
    ("None", None, TypeError), ("int", 5, TypeError), ("bool", True, TypeError),
    ("float", 1.5, TypeError), ("object", object(), TypeError),
    ("bytearray", bytearray(b"a"), TypeError), ("empty", "", ValueError),
    ("empty bytes", b"", ValueError), ("1025 bytes", "x" * 1025, ValueError),
    ("1026 bytes", "\u2026" * 342, ValueError), ("surrogate", "a\ud800", UnicodeEncodeError),
    ("surrogate in UTF-8", b"\xed\xa0\x80", UnicodeDecodeError),
    ("no UTF-8", b"\xff", UnicodeDecodeError),
    ("lies that it is short", lying(six.text_type, evil)("x" * 1025), ValueError),
    ("lies that it is not empty", lying(six.text_type, evil)(""), ValueError),
]
NO_TOPIC = [("list", ["a"], TypeError), ("tuple", ("a",), TypeError), ("set", {"a"}, TypeError),
            ("empty tuple", (), TypeError), ("dict", {}, TypeError)]
NO_TOPICS = [("dict", {"a": 1}, TypeError), ("generator", (topic for topic in "ab"), TypeError),
             ("nested", [["a"]], TypeError), ("None in it", ["a", None], TypeError)]


def check_refused(call, error, channel, stream):
    newest = channel.newest_id
    with pytest.raises(error) as info:
        call()
    assert "topic" in str(info.value) or isinstance(info.value, UnicodeError)
    message = str(info.value)
    assert len(message) < 120 and "evil" not in message
    assert channel.streams == [stream] and stream.data_to_send() == b""
    assert channel.newest_id == newest


@pytest.mark.parametrize("topic, error", rows(*BAD + NO_TOPIC))
@pytest.mark.parametrize("before", [(), ("a",)])
def test_no_topic(topic, error, before):
    channel = silent(history=3)
    stream = channel.open(channel.newest_id, "a")
    check_refused(lambda: channel.to(*before + (topic,)).add_message(None, "x"), error,
                  channel, stream)
    # By the call itself: what it gives may be used much later.
    check_refused(lambda: channel.to(*before + (topic,)), error, channel, stream)


@pytest.mark.parametrize("topics, error", rows(*(
    BAD + NO_TOPICS + [(name + " in a list", ["a", topic], error) for name, topic, error in BAD])))
@pytest.mark.parametrize("request_", [None, {"REQUEST_METHOD": str("HEAD")}], ids=["GET", "HEAD"])
def test_no_topics(topics, error, request_):
    channel = silent(history=3)
    stream = channel.open(channel.newest_id, "a")
    check_refused(lambda: channel.open(request_, topics), error, channel, stream)


@pytest.mark.parametrize("call, error", [
    (lambda to: to.add_message("a\nb", "x"), ValueError),
    (lambda to: to.add_message("e", 5), TypeError),
    (lambda to: to.add_message("e", "\ud800"), UnicodeEncodeError),
    (lambda to: to.add_message("e", b"x", "zlib"), LookupError),
    (lambda to: to.add_message("e", "x", event_id=" 7"), ValueError),
    (lambda to: to.add_message("e", "x", event_id=""), ValueError),
    (lambda to: to.add_json("e", float("nan")), ValueError),
    (lambda to: to.add_comment(None), TypeError),
    (lambda to: to.add_message("e", "x" * 200), BufferError),
    (lambda to: to.add_comment("x" * 200), BufferError),
    (lambda to: to.add_message("e", "x" * 200, keep=False), BufferError),
    (lambda to: to.set_retry(5), AttributeError),
    (lambda to: to.open(), AttributeError),
    (lambda to: to.add_evnt_x("x"), AttributeError),
])
@pytest.mark.parametrize("topics", [("a",), ("a", "b"), ()])
def test_bad_input_raises_and_no_stream_notices(call, error, topics):
    """Also where nobody would get it."""
    channel = silent(history=3, max_pending=150)
    stream = channel.open(channel.newest_id, "a")
    newest = channel.newest_id
    with pytest.raises(error):
        call(channel.to(*topics))
    assert channel.streams == [stream] and stream.data_to_send() == b""
    assert channel.newest_id == newest


@pytest.mark.parametrize("topics", [("a",), ()])
@pytest.mark.parametrize("add", [add for add, _ in ADDS])
def test_a_closed_channel(add, topics):
    channel = silent(history=3)
    channel.to("a").add_message(None, "x", event_id=1)
    channel.to("b").add_message(None, "y", event_id=2)
    to = channel.to(*topics)
    assert to.closed is False
    channel.close()
    assert to.closed is True
    with pytest.raises(Closed):
        add(to)
    assert to.streams == []
    to.close()
    # What was missed, and an end.
    sse = channel.open("unknown", topics)
    assert sse.closed and channel.streams == [] and channel.to("a").streams == []
    assert data(sse) == [""] + ["x"] * len(topics)


def test_head():
    channel = silent(history=3)
    sse = channel.open({"REQUEST_METHOD": str("HEAD")}, "a")
    assert sse.closed and channel.to("a").streams == channel.streams == []


# -- streams and close --------------------------------------------------------------------


def test_the_streams_of_topics():
    channel = silent()
    a, b, both, none = [channel.open(None, topics) for topics in ("a", "b", ["a", "b"], [])]

    def streams(*topics):
        found = channel.to(*topics).streams
        assert type(found) is list and len(set(found)) == len(found)    # each once
        return set(found)

    assert streams("a") == {a, both} and streams("b") == {b, both}
    assert streams("a", "b") == {a, b, both} and streams("c") == set()
    del channel.to("a").streams[:]
    assert streams("a") == {a, both}
    assert set(channel.streams) == {a, b, both, none}
    both.close()
    assert streams("a") == {a} and streams("b") == {b}


def test_close_ends_these_streams_with_what_is_pending():
    channel = silent(history=3)
    start = channel.newest_id
    a, b, both, none = [channel.open(start, topics) for topics in ("a", "b", ["a", "b"], [])]
    to = channel.to("a")
    to.add_message(None, "last")
    to.close()
    for sse in a, both:
        assert sse.closed and data(sse) == ["last"]
    assert set(channel.streams) == {b, none} and to.streams == []
    # The channel and the topic live on.
    assert not channel.closed and not to.closed
    to.add_message(None, "missed")
    channel.add_message(None, "for all")
    assert data(b) == data(none) == ["for all"]
    assert received(channel, start, "a") == ["last", "missed", "for all"]
    again = channel.open(None, "a")
    to.add_message(None, "x")
    assert data(again) == ["x"] and to.streams == [again]
    to.close()
    assert again.closed


def test_close_wakes_those_that_wait():
    channel = silent()
    streams = [channel.open(None, topics).stream(None) for topics in ("a", ["a", "b"])]
    threads = Threads()
    ended = []
    for stream in streams:
        threads.start(lambda stream=stream: ended.append(b"".join(stream)))
    channel.to("a").close()
    threads.join()
    assert [chunks.strip(b": \n") for chunks in ended] == [b"", b""]


def test_a_slow_client_of_a_topic():
    channel = silent(max_pending=100)
    slow, fast, other = [channel.open(None, topics) for topics in ("a", ["a"], "b")]
    for _ in range(3):
        channel.to("a").add_message(None, "x" * 40)
        fast.flush()
    assert slow.closed and channel.to("a").streams == [fast] and not other.closed
    assert data(slow) == ["x" * 40] * 2


# -- keep=False ---------------------------------------------------------------------------

UNKEPT = [
    (lambda to: to.add_message("e", "x", keep=False), b"event: e\ndata: x\n\n"),
    (lambda to: to.add_message(None, b"x", "utf-8", None, False), b"data: x\n\n"),
    (lambda to: to.add_json("e", {1}, None, sorted, False), b"event: e\ndata: [1]\n\n"),
    (lambda to: to.add_event_tick("x", keep=False), b"event: tick\ndata: x\n\n"),
    (lambda to: to.add_comment("x", keep=False), b": x\n"),
]
TARGETS = [lambda channel: channel, lambda channel: channel.to("a"),
           lambda channel: channel.to("b", "a")]


@pytest.mark.parametrize("add, wire", UNKEPT)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("history", [0, 3])
def test_not_kept(add, wire, target, history):
    channel = silent(history=history)
    channel.add_message(None, "before")
    newest = channel.newest_id
    live = channel.open(newest, "a")
    for _ in range(5):
        add(target(channel))
    assert live.data_to_send() == wire * 5
    # It takes no place in the history, and has no number.
    assert channel.newest_id == newest
    assert received(channel, newest, "a") == []
    if history:
        assert received(channel, "unknown", "a") == ["reset", "before"]
        channel.add_message(None, "after")
        assert channel.newest_id == own_id(channel, 2)
        assert received(channel, newest, "a") == ["after"]


@pytest.mark.parametrize("add", [
    lambda to, **more: to.add_message(None, "x", **more),
    lambda to, **more: to.add_json(None, "x", **more),
    lambda to, **more: to.add_event_tick("x", **more),
])
@pytest.mark.parametrize("target", TARGETS + [lambda channel: channel.to()])
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


def arguments(function):
    spec = getattr(inspect, "getfullargspec", None) or inspect.getargspec
    return spec(function)[0][1:]


@pytest.mark.parametrize("name", [
    "add_message", "add_json", "add_comment"])
def test_keep_is_the_last_argument_of_a_channel_and_an_sse_has_none(name):
    plain = arguments(getattr(Sse, name))
    assert "keep" not in plain
    for cls in Channel, type(Channel().to("a")):
        assert arguments(getattr(cls, name)) == plain + ["keep"]


@pytest.mark.parametrize("keep", [None, 0, 1, "x", []], ids=repr)
@pytest.mark.parametrize("target", TARGETS + [lambda channel: channel.to()])
def test_keep_is_a_bool(keep, target):
    channel = silent(history=3)
    for add in [lambda to: to.add_message(None, "x", keep=keep),
                lambda to: to.add_json(None, "x", keep=keep),
                lambda to: to.add_event_tick("x", keep=keep),
                lambda to: to.add_comment("x", keep=keep)]:
        with pytest.raises(TypeError) as info:
            add(target(channel))
        assert str(info.value).endswith("keep must be True or False, not " + type(keep).__name__)
    assert channel.newest_id == own_id(channel, 0)


@pytest.mark.parametrize("call", [
    lambda sse: sse.add_message(None, "x", keep=False),
    lambda sse: sse.add_json(None, "x", keep=True),
    lambda sse: sse.add_comment("x", keep=False),
    lambda sse: sse.add_event_tick("x", keep=False),
])
def test_an_sse_refuses_keep(call):
    sse = Sse(None)
    with pytest.raises(TypeError):
        call(sse)
    assert bytes(sse) == b""


def test_the_error_for_an_unknown_attribute_names_the_class():
    to = Channel().to("a")
    with pytest.raises(AttributeError) as info:
        to.add_evnt_x
    assert str(info.value) == "%r object has no attribute 'add_evnt_x'" % type(to).__name__


def test_repr():
    channel = silent()
    stream = channel.open(None, "a")
    assert repr(channel.to("a", "b")) == "<_Audience: 1 streams>"
    assert repr(channel.to()) == "<_Audience: 0 streams>"
    stream.close()


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("target", [lambda channel: channel, lambda channel: channel.to("a")])
def test_no_copies(duplicate, target):
    """Two with one set of streams, and two orders."""
    original = target(silent())
    with pytest.raises(TypeError) as info:
        duplicate(original)
    assert str(info.value) == "%s cannot be copied or pickled" % type(original).__name__


# -- What was missed ----------------------------------------------------------------------


def quiet(history, *audiences):
    """A channel with messages "1", "2" and so on for these: "" is all, "ab" is "a" and "b"."""
    channel = silent(history=history)
    for number, audience in enumerate(audiences, 1):
        to = channel.to(*audience) if audience else channel
        to.add_message(None, "%d" % number)
    return channel


@pytest.mark.parametrize("history, audiences, place, topics, expected", [
    # All is kept: what was missed, of one's own topics and for all.
    (9, ["a", "b", "", "ab", "c"], 0, "a", ["1", "3", "4"]),
    (9, ["a", "b", "", "ab", "c"], 0, "b", ["2", "3", "4"]),
    (9, ["a", "b", "", "ab", "c"], 0, "ab", ["1", "2", "3", "4"]),
    (9, ["a", "b", "", "ab", "c"], 0, "", ["3"]),
    # From the place of a message that was for others.
    (9, ["a", "b", "", "ab", "c"], 2, "a", ["3", "4"]),
    (9, ["a", "b", "", "ab", "c"], 5, "a", []),
    # What was trimmed was for others: no reset, however long ago its place was.
    (1, ["a", "b", "b", "b"], 1, "a", []),
    (1, ["a", "b", "b", "b"], 1, "", []),
    (1, ["", "b", "b", "b"], 1, "", []),
    (2, ["a", "b", "b", "b", "a"], 1, "a", ["5"]),
    (2, ["b", "b", "b", "", "a"], 0, "a", ["4", "5"]),
    (1, ["b", "b", "b", "c"], 0, "a", []),
    # Something of one's own was: the reset, and all that is kept of it.
    (2, ["a", "b", "b", "b", "a"], 0, "a", ["reset", "5"]),
    (1, ["b", "a", "b", "b"], 0, "a", ["reset"]),
    (1, ["b", "a", "b", "b"], 1, "a", ["reset"]),
    (1, ["b", "a", "b", "b"], 2, "a", []),
    (1, ["b", "a", "b", "b"], 1, "cda", ["reset"]),
    (1, ["b", "ac", "b", "b"], 1, "c", ["reset"]),
    (1, ["b", "ac", "b", "b"], 1, "d", []),
    (2, ["b", "a", "b", "", "b"], 1, "a", ["reset", "4"]),
    # It was for all.
    (1, ["b", "", "b", "b"], 1, "a", ["reset"]),
    (1, ["b", "", "b", "b"], 1, "", ["reset"]),
    (1, ["b", "", "b", "b"], 2, "a", []),
    # The last that was trimmed counts, of each.
    (1, ["a", "a", "b", "b"], 1, "a", ["reset"]),
    (1, ["a", "b", "a", "b"], 2, "ab", ["reset", "4"]),
    (1, ["a", "b", "a", "b"], 3, "ab", ["4"]),
    (1, ["", "a", "b", "b"], 1, "", []),
    # No place: a number that was not given yet.
    (9, ["a", "b"], 3, "a", ["reset", "1"]),
    (9, ["a", "b"], 10 ** 6, "b", ["reset", "2"]),
    (9, ["b"], 2, "", ["reset"]),
    # Without a message.
    (3, [], 0, "a", []), (3, [], 1, "a", ["reset"]),
])
def test_what_a_client_missed(history, audiences, place, topics, expected):
    channel = quiet(history, *audiences)
    assert received(channel, own_id(channel, place), list(topics)) == expected


@pytest.mark.parametrize("id_of", [
    "{0}-01", "{0}-+1", "{0}- 1", "{0}-1 ", "{0}--1", "{0}-1_0", "{0}-\xb2", "{0}-\u0661", "{0}-",
    "{0}", "{0}-1.0", "{0}-0x1", "{0}-1-1", " {0}-1", "-1", "1", "{1}-1", "{0}-1\n", "0{0}-1",
    "{0}\u22121", "{0}-1\0", "{0}-" + "9" * 30, "{0}-" + "1" * 5000, "{0}-\uff11",
])
def test_an_own_id_counts_only_as_it_is_written(id_of):
    channel = quiet(1, *["b"] * 12)
    epoch = channel.newest_id.split("-")[0]
    upper = epoch.upper() if epoch.upper() != epoch else "x" + epoch
    assert received(channel, epoch + "-1", "a") == []
    assert received(channel, id_of.format(epoch, upper), "a") == ["reset"]


def test_a_quiet_client_is_not_told_that_it_missed_what_was_for_others():
    channel = silent(history=20)
    client = Decoder()
    client.feed(channel.open(topics="quiet").data_to_send())
    for number in range(200):
        channel.to("busy").add_message(None, "%d" % number)
    channel.to("quiet").add_message(None, "meanwhile")
    assert received(channel, client.last_event_id, "quiet") == ["meanwhile"]
    assert received(channel, client.last_event_id, "busy")[:2] == ["reset", "181"]


def test_a_new_client_begins_with_the_newest_id_also_of_what_was_for_others():
    channel = silent(history=1)
    for event_id in None, "mine":
        channel.to("b").add_message(None, "x", event_id=event_id)
        client = Decoder()
        client.feed(channel.open(topics="a").data_to_send())
        assert client.events == [] and client.last_event_id == channel.newest_id
        channel.to("a").add_message(None, "y", event_id="y")
        assert received(channel, client.last_event_id, "a") == ["y"]


@pytest.mark.parametrize("history, ids, last_event_id, expected", [
    # They have a place while they are kept, and the one that was just trimmed.
    (2, "ABCD", "C", ["3"]), (2, "ABCD", "B", ["2", "3"]), (2, "ABCD", "A", ["reset", "2", "3"]),
    # Of two alike the first counts, and when it leaves, the later one.
    (4, "ABAC", "A", ["1", "2", "3"]), (3, "ABAC", "A", ["1", "2", "3"]),
    (2, "ABAC", "A", ["3"]), (2, "ABAC", "B", ["2", "3"]), (1, "ABAC", "A", ["3"]),
    (1, "ABACD", "A", ["reset", "4"]), (2, "AAAA", "A", ["2", "3"]), (1, "AA", "A", ["1"]),
    (2, "AABCA", "A", []), (3, "AABCA", "A", ["2", "3", "4"]), (3, "ABCAD", "A", ["4"]),
    (4, "ABCADEAF", "A", ["4", "5", "6", "7"]), (3, "ABCADEAF", "A", ["7"]),
])
@pytest.mark.parametrize("topics", [(), ("a",), ("a", "b")])
def test_ids_that_users_give(history, ids, last_event_id, expected, topics):
    channel = silent(history=history)
    for number, event_id in enumerate(ids):
        to = channel.to(*topics) if topics else channel
        to.add_message(None, "%d" % number, event_id=event_id)
    assert received(channel, last_event_id, "a") == expected
    # Who listens to something else is known by it, too.
    known = expected[:1] != ["reset"]
    if topics:
        assert received(channel, last_event_id, "c") == ([] if known else ["reset"])


def test_a_place_of_its_own_beside_ids_that_users_give():
    """`EPOCH-N` has a place also where the message with that number has another id."""
    channel = silent(history=1)
    own_ids = [own_id(channel, number) for number in range(6)]
    for topic, event_id in ("b", "A"), ("b", "B"), ("b", "C"), ("a", "D"):
        channel.to(topic).add_message(None, "y", event_id=event_id)
    for last in own_ids[:4]:
        assert received(channel, last, "a") == ["y"]
    assert received(channel, own_ids[4], "a") == []
    assert received(channel, own_ids[5], "a") == ["reset", "y"]
    # Not those of another channel.
    for number in range(5):
        assert received(channel, own_id(silent(history=1), number), "a") == ["reset", "y"]


def test_who_may_hear_a_topic_may_read_all_that_is_kept_of_it():
    """With an old id; with the newest, nothing of the past."""
    channel = quiet(9, "a", "b", "b")
    assert received(channel, own_id(channel, 0), "b") == ["2", "3"]
    assert received(channel, own_id(channel, 3), "b") == received(channel, None, "b") == []


@pytest.mark.parametrize("topics", ["a", "b", "ab", "", "c"])
@pytest.mark.parametrize("audiences", [
    ["a", "b", "", "a"], ["a", "b", "", "ab", "a", "b", "a"], ["b", "b", "b", "b", "b"], [""]])
def test_a_client_that_is_cut_off_right_after_it_was_told(audiences, topics):
    channel = quiet(3, *audiences)
    wire = channel.open("unknown", list(topics)).data_to_send()
    blocks = wire.split(b"\n\n")[:-1]
    for count in range(1, len(blocks) + 1):
        client = Decoder()
        client.feed(b"\n\n".join(blocks[:count]) + b"\n\n")
        got = [text or name for name, text, _ in client.events]
        assert got[0] == "reset"
        rest = received(channel, client.last_event_id, list(topics))
        assert got + rest == received(channel, "unknown", list(topics))


def test_so_many_topics_are_remembered():
    """100,000; one that was forgotten has a reset too many, and never one too few."""
    most = 100000
    channel = silent(history=1)
    number = 0
    for number in range(1, most + 11):
        channel.to("t%d" % number).add_message(None, "x")
    channel.to("last").add_message(None, "x")
    # The first of them were forgotten: whatever came before the last of these may be missed.
    assert received(channel, own_id(channel, 0), "t1") == ["reset"]
    assert received(channel, own_id(channel, 0), "never") == ["reset"]
    forgotten = [number for number in range(30)
                 if received(channel, own_id(channel, number), "never")]
    assert forgotten == list(range(10))
    assert received(channel, own_id(channel, 11), "t1") == []
    # The others are remembered.
    assert received(channel, own_id(channel, 12), "t12") == []
    assert received(channel, own_id(channel, 11), "t12") == ["reset"]
    assert received(channel, own_id(channel, most), "t%d" % most) == []
    assert received(channel, own_id(channel, most - 1), "t%d" % most) == ["reset"]


def test_a_topic_that_is_used_again_is_not_the_first_to_be_forgotten():
    most = 100000
    channel = silent(history=1)
    channel.to("again").add_message(None, "x")                      # its number is 1
    for number in range(2, most + 1):
        channel.to("t%d" % number).add_message(None, "x")
    channel.to("again").add_message(None, "x")                      # and most + 1
    channel.to("new", "newer").add_message(None, "x")
    channel.to("last").add_message(None, "x")
    # t2 and t3 were forgotten: there are `most` without them.
    assert received(channel, own_id(channel, 2), "never") == ["reset"]
    assert received(channel, own_id(channel, 3), "never") == []
    assert received(channel, own_id(channel, most + 1), "again") == []
    assert received(channel, own_id(channel, most), "again") == ["reset"]


# -- Nothing is left behind ---------------------------------------------------------------


def close_all(channel, clients):
    for client in clients:
        client.close()


def close_topics(channel, clients):
    channel.to("all", *["t%d" % number for number in range(100)]).close()


def close_their_streams(channel, clients):
    for client in clients:
        client.stream().close()


def let_go(channel, clients):
    pass


@pytest.mark.parametrize("leave", [close_all, close_topics, close_their_streams, let_go])
@pytest.mark.parametrize("history", [0, 5])
def test_streams_that_left_leave_nothing_behind(leave, history):
    channel = silent(history=history, max_pending=None)
    stays = channel.open(None, ["all", "t0"])
    before = len(held(channel))
    clients = [channel.open(None, ["all", "t%d" % number, "s%d" % number])
               for number in range(100)]
    assert len(held(channel)) > before + 100
    leave(channel, clients)
    del clients
    gc.collect()
    if leave is not close_topics:
        assert channel.to("all").streams == [stays]
    assert len(held(channel)) <= before
    sse = channel.open(None, "t5")
    channel.to("t5").add_message(None, "x", keep=False)
    assert sse.data_to_send().endswith(b"data: x\n\n")


def test_an_open_stream_does_not_keep_the_history():
    """Of a channel that was let go of."""
    channel = silent(history=5)
    sse = channel.open(None, "a")
    kept = [weakref.ref(channel), weakref.ref(log(channel))]
    del channel
    gc.collect()
    assert [reference() for reference in kept] == [None] * len(kept)
    sse.close()


def test_topics_that_nobody_listens_to_leave_nothing_behind():
    channel = silent()
    channel.to("a").add_message(None, "x")
    before = len(held(channel))
    for number in range(100):
        channel.to("t%d" % number).add_message(None, "x")
        channel.to("t%d" % number).streams
        channel.to("t%d" % number).close()
    assert len(held(channel)) == before


def test_a_stream_leaves_its_topics_without_waiting_for_the_lock():
    """A finalizer may run while another thread is in the middle of an add."""
    channel = silent()
    slow = channel.open(None, ["a", "slow"])
    clients = [channel.open(None, ["a", "t"]) for _ in range(3)]
    before = len(held(channel))
    inside, go_on = threading.Event(), threading.Event()

    def wake():
        inside.set()
        assert go_on.wait(FOREVER)

    slow._wake = wake
    threads = Threads()
    threads.start(lambda: channel.to("slow").add_message(None, "x"))
    assert inside.wait(FOREVER)
    closing = Threads()
    closing.start(clients.pop().close)
    closing.start(lambda: (clients.pop(), gc.collect()))
    closing.join()
    gc.collect()
    assert channel.to("t").streams == clients
    assert set(channel.to("a").streams) == {slow, clients[0]}
    # One that joins a topic just when the last one left it.
    closing = Threads()
    closing.start(clients.pop().close)
    closing.join()
    opened = []
    joining = Threads()
    joining.start(lambda: opened.append(channel.open(None, ["t"])))
    go_on.set()
    threads.join()
    joining.join()
    channel.to("t").add_message(None, "y")
    assert data(opened[0]) == ["y"]
    assert len(held(channel)) < before


class Index(dict):
    """The index of a channel: in the middle of each access something else happens, once."""

    meanwhile = ()

    def happens(self):
        if self.meanwhile:
            self.meanwhile.pop()()

    def __contains__(self, topic):
        found = super(Index, self).__contains__(topic)
        self.happens()
        return found

    def __delitem__(self, topic):
        self.happens()
        super(Index, self).__delitem__(topic)

    def get(self, topic, default=None):
        found = super(Index, self).get(topic, default)
        self.happens()
        return found

    def pop(self, topic, default=None):
        self.happens()
        return super(Index, self).pop(topic, default)

    def setdefault(self, topic, default):
        found = super(Index, self).setdefault(topic, default)
        self.happens()
        return found


@pytest.fixture
def index():
    """A channel whose one stream listens to the topic "a", that stream, and its index."""
    channel = silent()
    index = log(channel).listeners = Index()
    return channel, channel.open(None, "a"), index


def test_a_stream_that_joins_just_when_the_last_one_leaves(index):
    """In a signal handler or a finalizer, or in another thread: the topic is not lost."""
    channel, client, accesses = index
    opened = []
    for count in range(1, 5):
        accesses.meanwhile = [lambda: opened.append(channel.open(None, "a"))] + count * [int]
        client.close()
        while len(opened) < count:      # so many accesses are not needed
            accesses.happens()
        channel.to("a").add_message(None, "x", keep=False)
        assert channel.to("a").streams == [opened[-1]] and data(opened[-1]) == ["x"]
        client = opened[-1]


@pytest.mark.parametrize("act", [
    lambda channel: channel.to("a").streams,
    lambda channel: channel.to("a").add_message(None, "x"),
    lambda channel: channel.to("a").close(),
    lambda channel: channel.open(None, "a").close(),
])
def test_the_last_stream_leaves_in_the_middle_of(act, index):
    channel, client, accesses = index
    accesses.meanwhile = [client.close]
    act(channel)
    assert client.closed and not accesses.meanwhile
    assert channel.to("a").streams == [] and not accesses


# -- What it costs ------------------------------------------------------------------------


def calls(function):
    """How many functions, of Python or not, are called in the meantime."""
    count = [0]

    def profile(frame, event, argument):
        count[0] += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count[0]


@pytest.mark.native
@pytest.mark.parametrize("act", [
    lambda channel: channel.to("user:5").add_message(None, "x"),
    lambda channel: channel.to("user:5").add_message(None, "x", keep=False),
    lambda channel: channel.to("user:5", "user:6").add_comment("x"),
    lambda channel: channel.to("user:5").streams,
    lambda channel: channel.open(None, "user:5").close(),
    lambda channel: channel.to("user:5").close(),
])
@pytest.mark.parametrize("history", [0, 5])
def test_one_user_costs_what_his_streams_cost(act, history):
    def cost(users):
        channel = silent(history=history)
        clients = [channel.open(None, "user:%d" % number) for number in range(users)]
        act(channel)
        clients.append(channel.open(None, "user:5"))
        return calls(lambda: act(channel))

    gc.disable()
    try:
        assert cost(1000) <= cost(10) + 5
    finally:
        gc.enable()


# -- Names that a subclass cannot break ---------------------------------------------------


def private(cls, made):
    """The private names of a class, as one that does not know of them would write them."""
    names = set(vars(made))
    for base in cls.__mro__[:-1]:
        names.update(vars(base))
        mangled = "_%s__" % base.__name__.lstrip("_")
        names.update(["_" + name[len(mangled):] for name in names if name.startswith(mangled)])
        names = {name for name in names if not name.startswith(mangled)}
    return sorted(name for name in names if name.startswith("_") and not name.endswith("__"))


def use_channel(channel):
    start = channel.newest_id
    sse = channel.open(start, "a")
    channel.add_message(None, "1")
    channel.to("a").add_json(None, 2)
    channel.to("b").add_event_x("3")
    channel.add_message(None, "4", keep=False)
    assert data(sse) == ["1", "2", "4"] and received(channel, start, "a") == ["1", "2"]
    for number in range(5):
        channel.add_message(None, "more")
    assert received(channel, start, "a")[0] == "reset"
    assert channel.streams == channel.to("a").streams == [sse]
    assert ": 1 streams, 3 messages" in repr(channel)
    channel.close()
    assert channel.closed and sse.closed
    with pytest.raises(Closed):
        channel.add_comment()


@pytest.mark.parametrize("when", ["class", "before", "after"])
def test_a_subclass_may_have_an_attribute_of_any_name(when):
    names = private(Channel, Channel())
    # Those of 2.0's first form, too: one that set `_lock` hung for ever.
    for name in names + ["_add", "_closed", "_lock", "_streams", "_history", "_run"]:
        class Named(Channel):
            def __init__(self, **arguments):
                if when == "before":
                    setattr(self, name, ours)
                super(Named, self).__init__(**arguments)
                if when == "after":
                    setattr(self, name, ours)

        ours = object()
        if when == "class":
            setattr(Named, name, ours)
        made = Named(history=3)
        threads = Threads()
        threads.start(use_channel, made)
        threads.join()
        assert getattr(made, name) is ours, name
