"""`Channel(history=...)`: a client that reconnects gets what it missed."""

from __future__ import unicode_literals

import os
import re

import pytest
import six

from spec_decoder import Decoder
from sse import Channel
from support import evil, log, lying, Moment, silent


def filled(history, count, **options):
    """A channel to which messages "1" to "COUNT" were added, with ids that are the same."""
    channel = silent(history=history, **options)
    for number in range(1, count + 1):
        channel.add_message(None, "%d" % number, event_id=number)
    return channel


def received(channel, last_event_id):
    """The types and data of the events with which a client is brought up to date, and its id."""
    client = Decoder()
    client.last_event_id = last_event_id or ""
    client.feed(channel.open(last_event_id).data_to_send())
    return [(name, data) for name, data, _ in client.events], client.last_event_id


def messages(*numbers):
    return [("message", "%d" % number) for number in numbers]


RESET = [("reset", "")]


@pytest.mark.parametrize("history, count, last_event_id, events", [
    # The history holds 6 to 10.
    (5, 10, "10", messages()),
    (5, 10, "9", messages(10)),
    (5, 10, "6", messages(7, 8, 9, 10)),
    (5, 10, "5", messages(6, 7, 8, 9, 10)),             # the one just discarded
    (5, 10, "4", RESET + messages(6, 7, 8, 9, 10)),     # the one before it
    (5, 10, "11", RESET + messages(6, 7, 8, 9, 10)),
    (5, 10, "0", RESET + messages(6, 7, 8, 9, 10)),
    # All of them are in it.
    (5, 5, "1", messages(2, 3, 4, 5)),
    (5, 5, "0", RESET + messages(1, 2, 3, 4, 5)),
    (1, 10, "10", messages()),
    (1, 10, "9", messages(10)),
    (1, 10, "8", RESET + messages(10)),
    # It is empty.
    (5, 0, "1", RESET),
    # Forged: ids that this channel would refuse.
    (5, 6, "a\x00b", RESET + messages(2, 3, 4, 5, 6)),
    (5, 6, " 6", RESET + messages(2, 3, 4, 5, 6)),
    (5, 6, "6\n", RESET + messages(2, 3, 4, 5, 6)),
    (5, 6, "x" * 100000, RESET + messages(2, 3, 4, 5, 6)),
    (5, 6, "\ud800", RESET + messages(2, 3, 4, 5, 6)),
    (5, 6, "06", RESET + messages(2, 3, 4, 5, 6)),
])
def test_what_a_client_missed(history, count, last_event_id, events):
    channel = filled(history, count)
    got, last = received(channel, last_event_id)
    assert got == events
    # However it is cut off, it resumes from there, and is told only once.
    assert last == channel.newest_id
    assert received(channel, last) == ([], last)


@pytest.mark.parametrize("nothing", [None, "", b"", b"\xff", {"REQUEST_METHOD": str("GET")}])
def test_a_new_client_gets_nothing_of_the_past_but_the_newest_id(nothing):
    for count in 0, 3, 10:
        channel = filled(5, count)
        client = Decoder()
        client.feed(channel.open(nothing).data_to_send())
        assert client.events == []
        assert client.last_event_id == channel.newest_id
        channel.add_message(None, "%d" % (count + 1), event_id=count + 1)
        assert received(channel, client.last_event_id)[0] == messages(count + 1)


def test_the_newest_id_stands_in_the_block_of_the_reconnection_time():
    channel = Channel(history=5, default_retry=0)
    channel.add_message(None, "1", event_id=1)
    assert channel.open().data_to_send() == b"retry: 0\nid: 1\n\n"
    assert channel.open("1").data_to_send() == b"retry: 0\n\n"
    assert filled(5, 1).open().data_to_send() == b"id: 1\n\n"


@pytest.mark.parametrize("request_of", [
    lambda event_id: event_id,
    lambda event_id: lying(six.text_type, evil)(event_id),
    lambda event_id: event_id.encode("utf-8"),
    lambda event_id: {"REQUEST_METHOD": str("GET"), "HTTP_LAST_EVENT_ID":
                      event_id.encode("utf-8") if six.PY2
                      else event_id.encode("utf-8").decode("latin-1")},
    lambda event_id: {"method": "GET", "headers": [(b"last-event-id", event_id.encode("utf-8"))]},
    lambda event_id: {"Last-Event-ID": event_id},
], ids=["text", "text that lies", "bytes", "environ", "scope", "headers"])
def test_every_kind_of_request_resumes(request_of):
    for event_id in "7", "0", "\u2026", "a b", "x" * 1024:
        channel = silent(history=5)
        channel.add_message(None, "before", event_id=event_id)
        channel.add_message(None, "after")
        assert received(channel, request_of(event_id))[0] == [("message", "after")]


def test_without_a_history_nothing_is_kept_and_no_id_is_made():
    channel = silent()
    assert channel.newest_id is None
    client = channel.open("7")
    channel.add_message(None, "x")
    channel.add_message(None, "y", event_id="")
    assert client.data_to_send() == b"data: x\n\ndata: y\nid\n\n"
    assert channel.open("7").data_to_send() == channel.open().data_to_send() == b""
    assert channel.newest_id is None


@pytest.mark.parametrize("reset_event, name", [
    ("start afresh", "start afresh"), (b"b", "b"), ("", "message")])
def test_reset_event(reset_event, name):
    channel = filled(5, 1, reset_event=reset_event)
    assert received(channel, "?")[0] == [(name, "")] + messages(1)


# -- The channel's own ids ----------------------------------------------------------------


def test_the_channels_own_ids():
    channel = silent(history=3)
    epoch, count = re.match(r"([0-9a-f]{12})-(\d+)\Z", channel.newest_id).groups()
    assert count == "0"
    client = channel.open()
    client.flush()
    channel.add_message("a", "1")
    channel.add_message("b", "2", event_id="mine")
    channel.add_json("c", 3)
    assert client.data_to_send().decode("utf-8") == (
        "event: a\ndata: 1\nid: {0}-1\n\nevent: b\ndata: 2\nid: mine\n\n"
        "event: c\ndata: 3\nid: {0}-3\n\n".format(epoch))
    assert channel.newest_id == epoch + "-3" and type(channel.newest_id) is six.text_type
    assert received(channel, "mine")[0] == [("c", "3")]
    assert received(channel, epoch + "-0")[0] == [("a", "1"), ("b", "2"), ("c", "3")]


LYING_EMPTY = type(str("Lying"), (six.text_type,), {
    "__len__": lambda self: 5, "strip": lambda self, *args: self})("")


def test_ids_that_are_refused():
    """One that resets; one like the channel's own: who has it would skip what came between."""
    channel = silent(history=3)
    newest = channel.newest_id
    for event_id in "", b"", LYING_EMPTY, newest, newest[:-1] + "7", newest[:-1]:
        with pytest.raises(ValueError) as info:
            channel.add_message(None, "x", event_id=event_id)
        assert "id" in str(info.value)
        assert channel.newest_id == newest
    channel.add_message(None, "x", event_id=Channel(history=3).newest_id)


def test_those_of_another_run_are_not_known():
    first, second = silent(history=3), silent(history=3)
    for channel in first, second:
        channel.add_message(None, "1")
    assert first.newest_id != second.newest_id
    assert received(second, first.newest_id)[0] == RESET + messages(1)


@pytest.mark.parametrize("before", [0, 2, 8])
@pytest.mark.parametrize("more", [1, -1])
def test_another_process_id(before, more, monkeypatch):
    channel = silent(history=5)
    ids = [channel.newest_id]
    for number in range(1, before + 1):
        channel.add_message(None, "%d" % number)
        ids.append(channel.newest_id)
    pid = os.getpid() + more
    monkeypatch.setattr(os, "getpid", lambda: pid)
    parents = ids[-1].split("-")[0]
    if before:
        assert channel.newest_id == ids[-1]
    else:
        assert channel.newest_id.split("-")[0] != parents and channel.newest_id.endswith("-0")
        assert received(channel, channel.newest_id)[0] == []
    channel.add_message(None, "%d" % (before + 1))
    assert channel.newest_id.split("-")[0] != parents
    assert channel.newest_id.endswith("-%d" % (before + 1))
    # What was kept before the fork is known after it, and so is the one that was discarded last.
    for number, event_id in enumerate(ids):
        first = max(number, before - 4) + 1
        told = [] if before and number >= before - 4 else RESET
        assert received(channel, event_id)[0] == told + messages(*range(first, before + 2))


def add(channel):
    channel.add_message(None, "x")
    return channel.newest_id


if hasattr(os, "fork"):
    def in_a_child(function, channel):
        """The text that this call gives in a forked process."""
        read_end, write_end = os.pipe()
        child = os.fork()
        if not child:
            # Nothing but this: it is a copy of the test run.
            try:
                os.write(write_end, function(channel).encode())
            finally:
                os._exit(0)
        os.close(write_end)
        os.waitpid(child, 0)
        with os.fdopen(read_end, "rb") as pipe:
            return pipe.read().decode()

    @pytest.mark.parametrize("before", [0, 2])
    @pytest.mark.parametrize("act", [
        lambda channel: channel.newest_id, lambda channel: received(channel, None)[1], add,
    ], ids=["newest_id", "open", "add"])
    def test_forked_workers_have_ids_of_their_own(act, before):
        """Whatever they do first."""
        channel = filled(5, 0)
        for _ in range(before):
            add(channel)
        parents = channel.newest_id
        childs = in_a_child(act, channel)
        assert childs.split("-")[1] == "%d" % (before + (act is add))
        # What both kept is known to both; what only one has is not.
        assert (childs == parents) is (before > 0 and act is not add)
        add(channel)
        assert (received(channel, childs)[0][0] == RESET[0]) is (childs != parents)


# -- What it costs ------------------------------------------------------------------------


def test_finding_a_place_costs_the_same_however_long_the_history_is():
    costs = []
    for size in 10, 10000:
        channel = filled(size, 2 * size)
        lines = Moment(10 ** 6)
        with lines:
            client = channel.open("%d" % (2 * size - 2))
        assert client.data_to_send().count(b"data") == 2
        costs.append(lines.left)
    assert abs(costs[0] - costs[1]) < 10


@pytest.mark.parametrize("size", [3, 300])
def test_the_history_does_not_grow(size):
    channel = filled(size, 1000)
    # And one before it, which was discarded.
    assert len(log(channel).history) == len(log(channel).places) == size + 1


# -- The bound ----------------------------------------------------------------------------


def test_a_replay_does_not_count_for_the_bound():
    channel = filled(50, 50, max_pending=100)
    client = channel.open("unknown")
    assert not client.closed
    # The allowance: 100 bytes more than the replay, and no longer than it is pending.
    for number in range(51, 53):
        channel.add_message(None, "x" * 20, event_id=number)
    assert not client.closed
    channel.add_message(None, "x" * 60, event_id=53)
    assert client.closed
    sent = b"".join(client.stream())
    assert sent.count(b"data: ") == 1 + 50 + 2


def test_the_allowance_shrinks_as_the_replay_is_sent():
    channel = filled(50, 50, max_pending=100)
    client = channel.open("unknown")
    for line in client:
        if line == "data: 50\n":
            break
    channel.add_message(None, "x" * 60, event_id=51)    # with its id 76 bytes
    assert not client.closed
    channel.add_message(None, "x" * 60, event_id=52)
    assert client.closed


def test_a_large_replay_is_sent_in_chunks():
    channel = silent(history=1000)
    for number in range(1000):
        channel.add_message(None, "x" * 1000, event_id=number)
    client = channel.open("0")
    client.close()
    chunks = list(client.stream())
    assert max(map(len, chunks)) < 64 * 1024 + 1100
    assert all(chunk.endswith(b"\n\n") for chunk in chunks)
    assert b"".join(chunks).count(b"data: ") == 999
