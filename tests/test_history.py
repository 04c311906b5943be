"""`Channel(history=...)`: a client that reconnects gets what it missed."""

from __future__ import unicode_literals

import os
import re

import pytest
import six

from spec_decoder import Decoder
from sse import Channel
from support import Moment, log


def filled(history, count, **options):
    """A channel to which messages "1" to "COUNT" were added, with ids that are the same."""
    channel = Channel(history=history, default_retry=None, **options)
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


@pytest.mark.parametrize("history, count", [(5, 10), (5, 3), (5, 0), (1, 7)])
def test_a_client_that_is_cut_off_right_after_it_was_told(history, count):
    channel = filled(history, count)
    client = Decoder()
    client.feed(channel.open("unknown").data_to_send().split(b"\n\n")[0] + b"\n\n")
    assert [name for name, _, _ in client.events] == ["reset"]
    kept = range(max(1, count - history + 1), count + 1)
    assert received(channel, client.last_event_id)[0] == messages(*kept)
    # And if another one was added, and one discarded, meanwhile.
    channel.add_message(None, "%d" % (count + 1), event_id=count + 1)
    kept = range(max(1, count - history + 2), count + 2)
    told = [] if count < history else RESET
    assert received(channel, client.last_event_id)[0] == told + messages(*kept)


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
    assert Channel(history=5, default_retry=None).open().data_to_send().startswith(b"id: ")


@pytest.mark.parametrize("request_of", [
    lambda event_id: event_id,
    lambda event_id: event_id.encode("utf-8"),
    lambda event_id: {"REQUEST_METHOD": str("GET"), "HTTP_LAST_EVENT_ID":
                      event_id.encode("utf-8") if six.PY2
                      else event_id.encode("utf-8").decode("latin-1")},
    lambda event_id: {"method": "GET", "headers": [(b"last-event-id", event_id.encode("utf-8"))]},
    lambda event_id: {"Last-Event-ID": event_id},
], ids=["text", "bytes", "environ", "scope", "headers"])
@pytest.mark.parametrize("event_id", ["7", "0", "\u2026", "a b", "x" * 1024])
def test_every_kind_of_request_resumes(request_of, event_id):
    channel = Channel(history=5, default_retry=None)
    channel.add_message(None, "before", event_id=event_id)
    channel.add_message(None, "after")
    assert [data for _, data in received(channel, request_of(event_id))[0]] == ["after"]


def test_without_a_history_nothing_is_kept_and_no_id_is_made():
    channel = Channel(default_retry=None)
    assert channel.newest_id is None
    client = channel.open("7")
    channel.add_message(None, "x")
    channel.add_message(None, "y", event_id="")
    assert client.data_to_send() == b"data: x\n\ndata: y\nid\n\n"
    assert channel.open("7").data_to_send() == channel.open().data_to_send() == b""
    assert channel.newest_id is None


def test_comments_are_not_kept():
    channel = filled(2, 2)
    channel.add_comment("x")
    assert received(channel, "1")[0] == messages(2)
    assert channel.newest_id == "2"


@pytest.mark.parametrize("event_id", ["", b"", type(str("Lying"), (six.text_type,), {
    "__len__": lambda self: 5, "strip": lambda self, *args: self})("")])
def test_an_id_that_resets_is_refused(event_id):
    channel = filled(5, 1)
    with pytest.raises(ValueError) as info:
        channel.add_message(None, "x", event_id=event_id)
    assert "id" in str(info.value)
    assert received(channel, "1") == ([], "1")


def test_reset_event():
    channel = filled(5, 1, reset_event="start afresh")
    assert received(channel, "?")[0] == [("start afresh", "")] + messages(1)
    assert received(filled(5, 1, reset_event=b"b"), "?")[0] == [("b", "")] + messages(1)
    assert received(filled(5, 1, reset_event=""), "?")[0] == [("message", "")] + messages(1)


def test_of_two_ids_that_are_alike_the_first_counts():
    channel = filled(4, 2)
    channel.add_message(None, "3", event_id=1)
    assert received(channel, "1")[0] == messages(2, 3)
    channel.add_message(None, "4", event_id=4)
    channel.add_message(None, "5", event_id=5)      # discards the first
    assert received(channel, "1")[0] == messages(2, 3, 4, 5)
    for number in range(6, 12):
        channel.add_message(None, "%d" % number, event_id=1)
    assert received(channel, "1")[0][-3:] == messages(9, 10, 11)


@pytest.mark.parametrize("history, ids", [(1, "ABA"), (1, "AA"), (3, "ABCDA"), (2, "ABAAAB")])
def test_the_newest_id_is_always_known(history, ids):
    channel = Channel(history=history, default_retry=None)
    for event_id in ids:
        channel.add_message(None, event_id, event_id=event_id)
        names = [name for name, _ in received(channel, channel.newest_id)[0]]
        assert "reset" not in names


def test_the_first_of_two_that_are_alike_counts_also_when_it_was_just_discarded():
    channel = Channel(history=4, default_retry=None)
    for number, event_id in enumerate("ABCADEAF"):
        channel.add_message(None, "%d" % number, event_id=event_id)
    assert received(channel, "A")[0] == messages(4, 5, 6, 7)


# -- The channel's own ids ----------------------------------------------------------------


def test_the_channels_own_ids():
    channel = Channel(history=3, default_retry=None)
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


def test_an_id_that_looks_like_one_of_them_is_refused():
    """A client that has it would skip what was added in between."""
    channel = Channel(history=3, default_retry=None)
    newest = channel.newest_id
    for event_id in newest, newest[:-1] + "7", newest[:-1]:
        with pytest.raises(ValueError):
            channel.add_message(None, "x", event_id=event_id)
    assert channel.newest_id == newest
    channel.add_message(None, "x", event_id=Channel(history=3).newest_id)


def test_those_of_another_run_are_not_known():
    first, second = Channel(history=3, default_retry=None), Channel(history=3, default_retry=None)
    for channel in first, second:
        channel.add_message(None, "1")
    assert first.newest_id != second.newest_id
    assert received(second, first.newest_id)[0] == RESET + messages(1)


def test_newest_id_then_open_misses_nothing():
    channel = Channel(history=3, default_retry=None)
    newest = channel.newest_id
    channel.add_message(None, "1")
    assert received(channel, newest)[0] == messages(1)


@pytest.mark.parametrize("before", [0, 2, 8])
@pytest.mark.parametrize("more", [1, -1])
def test_another_process_id(before, more, monkeypatch):
    channel = Channel(history=5, default_retry=None)
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
        got = received(channel, event_id)[0]
        first = max(number, before - 4) + 1
        told = [] if before and number >= before - 4 else RESET
        assert got == told + messages(*range(first, before + 2))


if hasattr(os, "fork"):
    @pytest.mark.parametrize("before", [0, 2])
    def test_workers_that_were_forked_have_ids_of_their_own(before):
        channel = Channel(history=5, default_retry=None)
        for number in range(before):
            channel.add_message(None, "%d" % number)
        parent = channel.newest_id
        read_end, write_end = os.pipe()
        child = os.fork()
        if not child:
            # Nothing but this: it is a copy of the test run.
            try:
                newest = channel.newest_id
                channel.add_message(None, "x")
                os.write(write_end, ("%s %s" % (newest, channel.newest_id)).encode())
            finally:
                os._exit(0)
        os.close(write_end)
        os.waitpid(child, 0)
        with os.fdopen(read_end, "rb") as pipe:
            newest, added = pipe.read().decode().split()
        channel.add_message(None, "x")
        assert channel.newest_id.split("-")[1] == added.split("-")[1]
        assert channel.newest_id.split("-")[0] != added.split("-")[0]
        # What both kept is known to both; what only one has is not.
        assert (newest == parent) is (before > 0)
        assert received(channel, added)[0][0] == RESET[0]

    @pytest.mark.parametrize("act", [
        lambda channel: channel.newest_id,
        lambda channel: channel.add_message(None, "x"),
        lambda channel: received(channel, None)[1],
    ], ids=["newest_id", "add", "open"])
    def test_whatever_a_forked_worker_does_first(act):
        channel = Channel(history=5, default_retry=None)
        read_end, write_end = os.pipe()
        child = os.fork()
        if not child:
            try:
                newest = act(channel) or channel.open().data_to_send()[len("id: "):-2].decode()
                os.write(write_end, newest.encode())
            finally:
                os._exit(0)
        os.close(write_end)
        os.waitpid(child, 0)
        with os.fdopen(read_end, "rb") as pipe:
            newest = pipe.read().decode()
        assert re.match(r"[0-9a-f]{12}-[01]\Z", newest)
        assert newest.split("-")[0] != channel.newest_id.split("-")[0]


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
    lines = iter(client)
    for line in lines:
        if line == "data: 50\n":
            break
    channel.add_message(None, "x" * 60, event_id=51)    # with its id 76 bytes
    assert not client.closed
    channel.add_message(None, "x" * 60, event_id=52)
    assert client.closed


def test_a_large_replay_is_sent_in_chunks():
    channel = Channel(history=1000, default_retry=None)
    for number in range(1000):
        channel.add_message(None, "x" * 1000, event_id=number)
    client = channel.open("0")
    client.close()
    chunks = list(client.stream())
    assert max(map(len, chunks)) < 64 * 1024 + 1100
    assert all(chunk.endswith(b"\n\n") for chunk in chunks)
    assert b"".join(chunks).count(b"data: ") == 999
