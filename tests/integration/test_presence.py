"""examples/presence.py, with streams of threads."""

from __future__ import unicode_literals

import sys
import threading

from six.moves import queue

from loopback import EXAMPLES, wait_for
from sse import Channel

sys.path.insert(0, EXAMPLES)
from presence import Presence  # noqa: E402


class Watched(object):
    """A channel and its presence; `told` waits for what is told next."""

    def __init__(self, changed=None, grace=0.3):
        self.channel, self.events = Channel(), queue.Queue()
        self.presence = Presence(
            self.channel, "user:%d", changed or self.tell, grace=grace, every=0.02)
        self.round, self.record = threading.Event(), self.presence.record
        self.presence.record = self.recorded

    def tell(self, user, here):
        self.events.put((user, here))

    def recorded(self, users):
        self.record(users)
        if not users:
            self.round.set()

    def round_with_nobody(self):
        self.round.clear()
        assert self.round.wait(20)

    def open(self, user, **request):
        sse = self.channel.open(request.get("request"), ["user:%d" % user])
        self.presence.arrived(user)
        return sse

    def told(self):
        return self.events.get(timeout=20)


def test_who_comes_and_leaves_is_told_once():
    watched = Watched()
    one, two = watched.open(7), watched.open(7)
    assert watched.told() == (7, True)
    assert watched.presence.here() == [7]
    one.close()
    other = watched.open(8)
    assert watched.told() == (8, True)
    other.close()
    assert watched.told() == (8, False)     # and not 7, who closed one of two before
    two.close()
    assert watched.told() == (7, False)
    assert watched.presence.here() == []
    again = watched.open(7)
    assert watched.told() == (7, True)
    again.close()


def test_a_reconnect_is_not_a_departure():
    watched = Watched(grace=5)
    sse = watched.open(7)
    assert watched.told() == (7, True)
    for _ in range(5):
        sse.close()
        watched.round_with_nobody()
        sse = watched.open(7)
    sse.close()
    other = watched.open(8)
    assert watched.told() == (8, True)
    watched.presence.grace = 0
    assert watched.told() == (7, False)
    other.close()


def test_a_stream_that_was_let_go_of_has_left():
    watched = Watched()
    stream = watched.open(7).stream()
    next(stream)
    assert watched.told() == (7, True)
    del stream
    wait_for(lambda: watched.channel.streams == [])
    assert watched.told() == (7, False)


def test_head_does_not_arrive():
    watched = Watched()
    watched.open(7, request={"REQUEST_METHOD": str("HEAD"), "wsgi.version": (1, 0)})
    sse = watched.open(8)
    assert watched.told() == (8, True)
    assert watched.presence.here() == [8]
    sse.close()


def test_what_could_not_be_told_is_told_in_the_next_round():
    events, failures = queue.Queue(), [ValueError(), ValueError()]

    def changed(user, here):
        if failures:
            raise failures.pop()
        events.put((user, here))

    watched = Watched(changed)
    sse = watched.open(7)
    assert events.get(timeout=20) == (7, True)
    failures.append(ValueError())
    sse.close()
    assert events.get(timeout=20) == (7, False)


def test_nothing_grows():
    watched = Watched(grace=0.1)
    streams = [watched.open(user) for user in range(300)]
    assert sorted(watched.told() for _ in streams) == [(user, True) for user in range(300)]
    del streams
    assert sorted(watched.told() for _ in range(300)) == [(user, False) for user in range(300)]
    assert not watched.presence.seen and watched.presence.arrivals.empty()
    watched.round_with_nobody()


def test_one_thread_serves_all():
    watched = Watched()
    before = threading.active_count()
    barrier = threading.Event()

    def arrive():
        barrier.wait()
        streams.append(watched.open(7))

    streams = []
    started = [threading.Thread(target=arrive) for _ in range(20)]
    for thread in started:
        thread.start()
    barrier.set()
    for thread in started:
        thread.join()
    assert watched.told() == (7, True)
    assert threading.active_count() == before + 1
    for sse in streams:
        sse.close()
