# -*- coding: utf-8 -*-
"""Topics: what is added to some streams of a channel reaches these and nobody else."""

from __future__ import unicode_literals

import gc
import re
import sys

import pytest
import six

import sse as module
from held import held
from spec_decoder import Decoder
from sse import Channel, Sse
from support import evil, log, lying, moments, rows, silent, Threads
from test_channel import ADDS


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


# -- Who gets it --------------------------------------------------------------------------


@pytest.mark.parametrize("add, wire", ADDS)
def test_those_that_listen_get_it_and_nobody_else(add, wire):
    channel = silent()
    both, one, other, none = [channel.open(None, topics) for topics in (["a", "b"], "a", "c", ())]
    add(channel.to("a", "b"))
    assert both._buffer[0] is one._buffer[0]        # encoded once
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


def test_the_topics_of_a_stream_do_not_change():
    channel, topics = silent(), ["a"]
    sse = channel.open(None, topics)
    topics[0] = "b"
    topics.append("c")
    channel.to("b", "c").add_message(None, "b")
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


@pytest.mark.parametrize("ours, theirs", rows(*[
    (number,) + row for number, row in enumerate(ALIKE + [row[::-1] for row in ALIKE])]))
def test_nothing_reaches_who_does_not_listen(ours, theirs):
    channel = silent(history=2)
    start = channel.newest_id
    live = channel.open(start, [theirs])
    for add in [
            lambda to: to.add_message("e", "x", event_id=7),
            lambda to: to.add_json("e", "x"),
            lambda to: to.add_event_tick("x"),
            lambda to: to.add_comment("x"),
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
    assert received(channel, "unknown", [ours]) == ["reset", '"x"', "x"]
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


@pytest.fixture
def refused():
    """What calls a function that has to raise an error about a topic, and to change nothing."""
    channel = silent(history=3)
    stream = channel.open(channel.newest_id, "a")
    newest = channel.newest_id

    def refused(call, error):
        with pytest.raises(error) as info:
            call(channel)
        message = str(info.value)
        assert "topic" in message or isinstance(info.value, UnicodeError)
        assert len(message) < 120 and "evil" not in message
        assert channel.streams == [stream] and stream.data_to_send() == b""
        assert channel.newest_id == newest

    return refused


@pytest.mark.parametrize("topic, error", rows(*BAD + NO_TOPIC))
def test_no_topic(topic, error, refused):
    """By the call itself: what it gives may be used much later."""
    refused(lambda channel: channel.to(topic), error)
    refused(lambda channel: channel.to("a", topic), error)


@pytest.mark.parametrize("topics, error", rows(*(
    BAD + NO_TOPICS + [(name + " in a list", ["a", topic], error) for name, topic, error in BAD])))
@pytest.mark.parametrize("request_", [None, {"REQUEST_METHOD": str("HEAD")}], ids=["GET", "HEAD"])
def test_no_topics(topics, error, request_, refused):
    refused(lambda channel: channel.open(request_, topics), error)


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
    (9, ["a", "b", "", "ab", "c"], 0, "ab", ["1", "2", "3", "4"]),
    (9, ["a", "b", "", "ab", "c"], 0, "", ["3"]),
    # From the place of a message that was for others.
    (9, ["a", "b", "", "ab", "c"], 2, "a", ["3", "4"]),
    (9, ["a", "b", "", "ab", "c"], 5, "a", []),
    # What was trimmed was for others: no reset, however long ago its place was.
    (1, ["a", "b", "b", "b"], 1, "a", []),
    (1, ["", "b", "b", "b"], 1, "", []),
    (2, ["a", "b", "b", "b", "a"], 1, "a", ["5"]),
    (2, ["b", "b", "b", "", "a"], 0, "a", ["4", "5"]),
    (1, ["b", "b", "b", "c"], 0, "a", []),
    # Something of one's own was: the reset, and all that is kept of it.
    (2, ["a", "b", "b", "b", "a"], 0, "a", ["reset", "5"]),
    (1, ["b", "a", "b", "b"], 1, "a", ["reset"]),
    (1, ["b", "a", "b", "b"], 2, "a", []),
    (1, ["b", "a", "b", "b"], 1, "cda", ["reset"]),
    (1, ["b", "ac", "b", "b"], 1, "c", ["reset"]),
    (1, ["b", "ac", "b", "b"], 1, "d", []),
    (2, ["b", "a", "b", "", "b"], 1, "a", ["reset", "4"]),
    # It was for all.
    (1, ["b", "", "b", "b"], 1, "a", ["reset"]),
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
def test_ids_that_users_give(history, ids, last_event_id, expected):
    channel = silent(history=history)
    for number, event_id in enumerate(ids):
        channel.to("a", "b").add_message(None, "%d" % number, event_id=event_id)
    assert received(channel, last_event_id, "a") == expected
    # Who listens to something else is known by it, too.
    assert received(channel, last_event_id, "c") == [text for text in expected if text == "reset"]


def test_topics_that_are_remembered(monkeypatch):
    """One that was forgotten has a reset too many, and never one too few."""
    monkeypatch.setattr(module, "_MAX_DISCARDED", 100)
    channel = silent(history=1)
    channel.to("again").add_message(None, "x")                      # its number is 1
    for number in range(2, 101):
        channel.to("t%d" % number).add_message(None, "x")
    channel.to("again").add_message(None, "x")                      # and 101
    channel.to("new", "newer").add_message(None, "x")
    channel.to("last").add_message(None, "x")
    # t2 and t3 were forgotten: there are 100 without them.
    for topic, number, told in [
            ("never", 2, True), ("never", 3, False), ("t2", 2, True), ("t2", 3, False),
            ("t4", 3, True), ("t4", 4, False), ("t100", 99, True), ("t100", 100, False),
            ("again", 100, True), ("again", 101, False), ("newer", 101, True)]:
        assert received(channel, own_id(channel, number), topic) == ["reset"] * told


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
def test_streams_that_left_leave_nothing_behind(leave):
    channel = silent(history=5)
    stays = channel.open(None, ["all", "t0"])
    before = len(held(channel))
    clients = [channel.open(None, ["all", "t%d" % number, "s%d" % number])
               for number in range(100)]
    assert len(held(channel)) > before + 100
    # Nor do topics that nobody listens to.
    for number in range(100):
        nobodys = channel.to("n%d" % number)
        nobodys.add_comment()
        nobodys.close()
        assert nobodys.streams == []
    leave(channel, clients)
    del clients
    gc.collect()
    if leave is not close_topics:
        assert channel.to("all").streams == [stays]
    assert len(held(channel)) <= before
    sse = channel.open(None, "t5")
    channel.to("t5").add_message(None, "x", keep=False)
    assert sse.data_to_send().endswith(b"data: x\n\n")


def test_a_stream_leaves_its_topics_without_waiting_for_the_lock():
    """A finalizer may run while another thread is in the middle of an add."""
    channel = silent()
    stays = channel.open(None, "a")
    clients = [channel.open(None, ["a", "t"]) for _ in range(2)]
    before = len(held(channel))
    threads = Threads()
    with log(channel).lock:
        threads.start(clients.pop().close)
        threads.start(lambda: (clients.pop(), gc.collect()))
        threads.join()
        gc.collect()
        assert channel.to("t").streams == [] and channel.to("a").streams == [stays]
    # One that joins a topic just after the last one left it.
    joined = channel.open(None, ["t"])
    channel.to("t").add_message(None, "y")
    assert data(joined) == ["y"]
    assert len(held(channel)) < before


@pytest.mark.parametrize("call", [
    lambda channel, client: client.close(),
    lambda channel, client: channel.to("a").streams,
    lambda channel, client: channel.to("a").add_message(None, "x"),
    lambda channel, client: channel.to("a").close(),
    lambda channel, client: channel.open(None, "a").close(),
])
@pytest.mark.parametrize("joins", [True, False])
def test_the_last_stream_leaves_and_another_joins_in_the_middle_of(call, joins):
    """In a signal handler or a finalizer, or in another thread: the topic is not lost."""
    for moment in moments():
        channel = silent()
        client = channel.open(None, "a")
        opened = []

        def act():
            client.close()
            if joins:
                opened.append(channel.open(None, "a"))

        with moment(act):
            call(channel, client)
        if moment.left:
            client.close()
        left = [sse for sse in opened if not sse.closed]
        channel.to("a").add_message(None, "last")
        assert channel.to("a").streams == left
        assert [data(sse)[-1] for sse in left] == ["last"] * len(left)
        assert list(log(channel).listeners) == ["a"] * len(left)


# -- What it costs ------------------------------------------------------------------------


def calls(function):
    """How many functions, of Python or not, are called in the meantime."""
    events = []
    sys.setprofile(lambda frame, event, argument: events.append(event))
    try:
        function()
    finally:
        sys.setprofile(None)
    return events.count("call") + events.count("c_call")


@pytest.mark.native
@pytest.mark.parametrize("act", [
    lambda channel: channel.to("user:5").add_message(None, "x"),
    lambda channel: channel.to("user:5").add_message(None, "x", keep=False),
    lambda channel: channel.to("user:5", "user:6").add_comment("x"),
    lambda channel: channel.to("user:5").streams,
    lambda channel: channel.open(None, "user:5").close(),
    lambda channel: channel.to("user:5").close(),
])
def test_one_user_costs_what_his_streams_cost(act):
    def cost(users):
        channel = silent(history=5)
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


def test_a_subclass_may_have_an_attribute_of_any_name():
    """One of a single underscore would be in the way of a subclass that has it too."""
    names = set(vars(Channel()))
    for cls in Channel.__mro__[:-1]:
        names.update(vars(cls))
    assert [name for name in sorted(names) if re.match("_(?!_|Channel__|Audience__)", name)] == []
