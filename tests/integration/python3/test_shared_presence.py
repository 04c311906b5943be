"""examples/shared_presence.py: two processes, of which each has its object, on one store."""

import contextlib
import sqlite3
import sys
import threading

import pytest
from six.moves import queue

from loopback import EXAMPLES, wait_for
from sse import Channel

sys.path.insert(0, EXAMPLES)
from shared_presence import RedisPresence, SQLitePresence  # noqa: E402


class Process(object):

    def __init__(self, kind, *where):
        self.told, self.failures = queue.Queue(), []
        self.channel = Channel()
        self.presence = kind(*where, self.channel, "user:%d", self.changed, grace=0.5, every=0.05)

    def changed(self, user, here):
        if self.failures:
            raise self.failures.pop()
        self.told.put((user, here))

    def open(self, user):
        sse = self.channel.open(None, "user:%d" % user)
        self.presence.arrived(user)
        return sse


@pytest.fixture(params=[SQLitePresence, RedisPresence])
def start(request, tmp_path):
    """A function that gives another process; all tell one queue."""
    if request.param is SQLitePresence:
        where, told = [str(tmp_path / "presence.db")], queue.Queue()
    else:
        store = request.getfixturevalue("store")
        store.client.flushall()
        where, told = [store.client, "presence"], queue.Queue()
    processes = []

    def start():
        processes.append(Process(request.param, *where))
        processes[-1].told = told
        return processes[-1]

    yield start
    for process in processes:
        process.presence.every = 3600


def test_who_moves_has_not_left(start):
    one, two = start(), start()
    sse, other = one.open(7), two.open(8)
    assert {one.told.get(timeout=20) for _ in "12"} == {(7, True), (8, True)}
    assert one.presence.here() == two.presence.here() == [7, 8]
    again = two.open(7)
    sse.close()
    other.close()
    assert one.told.get(timeout=20) == (8, False)
    assert one.presence.here() == two.presence.here() == [7]
    again.close()
    assert one.told.get(timeout=20) == (7, False)
    assert one.presence.here() == []


def test_each_is_told_once(start):
    processes = [start() for _ in range(4)]
    streams = [process.open(user) for user in range(20) for process in processes]
    told = processes[0].told
    assert sorted(told.get(timeout=20) for _ in range(20)) == [(user, True) for user in range(20)]
    for sse in streams:
        sse.close()
    assert sorted(told.get(timeout=20) for _ in range(20)) == [(user, False) for user in range(20)]
    end = processes[0].open(100)
    assert told.get(timeout=20) == (100, True)
    end.close()


@contextlib.contextmanager
def locked(path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield


def test_nobody_has_left_because_the_file_or_redis_was_away(start, request):
    processes = [start() for _ in range(2)]
    streams = [process.open(user) for user, process in enumerate(processes)]
    told = processes[0].told
    assert sorted(told.get(timeout=20) for _ in "12") == [(0, True), (1, True)]
    presence, other = [process.presence for process in processes]
    record, go_on = other.record, threading.Event()
    other.record = lambda users: go_on.wait(20) and record(users)
    sqlite = isinstance(presence, SQLitePresence)
    with locked(presence.path) if sqlite else request.getfixturevalue("store").away():
        with pytest.raises(queue.Empty):
            told.get(timeout=1)     # twice `grace`
    noted = presence.noted
    wait_for(lambda: presence.noted > noted)    # and the other has not noted its user yet
    go_on.set()
    wait_for(lambda: presence.here() == [0, 1])
    streams[0].close()
    assert told.get(timeout=20) == (0, False)       # and nothing before it
    streams[1].close()


@pytest.mark.parametrize("start", [SQLitePresence], indirect=True)
def test_what_could_not_be_told_is_told_in_the_next_round(start):
    one = start()
    one.failures.append(ValueError())
    sse = one.open(7)
    assert one.told.get(timeout=20) == (7, True)
    one.failures.append(ValueError())
    sse.close()
    assert one.told.get(timeout=20) == (7, False)
