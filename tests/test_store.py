"""A channel with a store: the half that follows one log, whatever that gives."""

from __future__ import unicode_literals

import threading

import pytest

from support import rows, silent


class Memory(object):
    """A log in the memory of one process."""

    def __init__(self):
        self.rows = []
        self.changed = threading.Condition()

    def add(self, block, topics, keep):
        with self.changed:
            self.rows.append((len(self.rows) + 1, block, topics, keep))
            self.changed.notify_all()

    def newest(self):
        return "log", len(self.rows)

    def read(self, place, history):
        with self.changed:
            if place is None:
                kept = [row for row in self.rows if row[3]]
                base = kept[-history - 1][0] if len(kept) > history else 0
                return self.newest(), base, [row for row in kept if row[0] > base]
            if place == self.newest():
                self.changed.wait(0.1)
            return self.newest(), None, self.rows[place[1]:]


def following(**options):
    """A channel with a store, one open stream of it, and the store."""
    store = Memory()
    channel = silent(store=store, **options)
    sse = channel.open(topics="user:7")
    sse.flush()
    return channel, sse, store


def arrived(channel, sse):
    """What the stream got: close() waits for what was added before it."""
    channel.close()
    return bytes(sse)


@pytest.mark.parametrize("history, keep", rows(
    ("not kept", 5, False),
    ("no history", 0, True),
    ("neither", 0, False),
))
def test_what_an_add_took_is_not_too_large_to_be_sent(history, keep):
    channel, sse, store = following(history=history, max_pending=100)
    channel.add_message(None, "x" * (100 - len(b"data: \n\n")), keep=keep)
    assert len(arrived(channel, sse)) == 100


@pytest.mark.parametrize("to_all", [True, False], ids=["channel", "topic"])
def test_close_sends_what_was_added_before(to_all):
    channel, sse, store = following()
    target = channel if to_all else channel.to("user:7")
    target.add_message(None, "logged out", keep=False)
    target.close()
    assert bytes(sse) == b"data: logged out\n\n"
    assert channel.closed == to_all


@pytest.mark.parametrize("topics", rows(
    ("text", "user:7"),
    ("bytes", b"user:7"),
    ("dict", {"u": 1, "user:7": 2}),
))
def test_topics_that_are_no_list_are_for_nobody(topics):
    channel, sse, store = following()
    letters = channel.open(topics=list("user:7"))
    letters.flush()
    store.add(b"data: secret\n\n", topics, True)
    channel.add_message(None, "next")
    channel.close()
    for stream in sse, letters:
        assert bytes(stream) == b"data: next\n\n"
