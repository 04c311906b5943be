"""A channel for any number of processes, on any number of machines, on a Redis Stream.

    news = RedisChannel("redis://127.0.0.1:6379/0", "news", history=10000)
    news.add_message("headline", "...")                         # in any process
    news.open(request).stream()                                 # in a handler, in threads
    (await asyncio.to_thread(news.open, request)).astream()     # in a coroutine

Each process reads Redis with one connection, however many clients it has. The id of an entry is
the id of its event: a client may reconnect to any process. Needs Redis 5, redis-py, Python 3.
"""

import logging
import os
import re
import threading
import time

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sse import Channel, Closed, last_event_id, Sse

BLOCK = 2       # seconds that a read waits for entries
log = logging.getLogger(__name__)
# Clients that come before the first event need an id too, and the same in all processes.
ORIGIN = "if redis.call('XLEN', KEYS[1]) == 0 then redis.call('XADD', KEYS[1], '*', '', '') end"


class NotConfirmed(Exception):
    """The event may not have been published."""


def pair(entry_id):
    """Two integers, which compare as the entries do; None for what is not the id of an entry."""
    match = re.fullmatch("([0-9]{1,19})-([0-9]{1,19})", entry_id or "")
    return match and tuple(map(int, match.groups()))


class RedisChannel(Channel):
    """An `sse.Channel` whose messages go to the clients of all processes; comments do not.

    `open` may wait some seconds for Redis. While Redis is away, a client whose missed messages
    are not known gets a stream that ends, so that it asks again.
    """

    def __init__(self, url, key, history=1000, default_retry=2000, max_pending=1048576,
                 reset_event="reset"):
        super().__init__(history, default_retry, max_pending, reset_event)
        # No retries: an XADD that was done but not answered would be done twice.
        self._redis = redis.Redis(connection_pool=redis.BlockingConnectionPool.from_url(
            url, max_connections=8, timeout=5, socket_timeout=5, retry=Retry(NoBackoff(), 0)))
        self._key, self._kept, self._limit, self._told = key, history, max_pending, reset_event
        self._readers = {}      # by process: a thread does not survive a fork
        self._changed = threading.Condition()
        # The id of the last entry that was read; whether the last read failed.
        self._position, self._away = None, False

    def add_message(self, event, text, event_id=None):
        """The id of the event; `NotConfirmed` if Redis did not confirm it."""
        if self.closed:
            raise Closed("closed: nothing more can be added")
        if not isinstance(text, str) or event_id is not None:
            raise TypeError("data must be text, and its id is that of the entry")
        Sse(None, self._limit).add_message(event, text, event_id=39 * "0")      # or it raises
        fields = {"data": text} if event is None else {"data": text, "event": event}
        try:
            return self._redis.xadd(self._key, fields, maxlen=self._kept).decode()
        except redis.RedisError as error:
            raise NotConfirmed("the event may not have been published: %s" % error) from error

    def open(self, request=None):
        last = request if request is None or isinstance(request, str) else last_event_id(request)
        if self.closed or self._has_read(last):
            return super().open(request)
        sse = Sse(None)
        sse.close()
        return sse

    def _has_read(self, last):
        """Wait for the entry that a client got last, maybe in a process that was faster."""
        if os.getpid() not in self._readers:
            reader = threading.Thread(target=self._read_on, daemon=True)
            if self._readers.setdefault(os.getpid(), reader) is reader:     # of two threads, one
                reader.start()
        with self._changed:
            self._changed.wait_for(lambda: self._position or self._away, 2 * BLOCK)
            if not self._position or (pair(last) or (0,)) <= pair(self._position):
                return self._position is not None
        try:
            if not self._redis.xrange(self._key, last, last):
                return True             # nobody knows it
        except redis.RedisError:
            return False
        with self._changed:
            return self._changed.wait_for(lambda: pair(last) <= pair(self._position), 2 * BLOCK)

    def _read_on(self):
        while not self.closed:
            try:
                position, away = self._read(self._position, self._redis.pipeline(False)), False
            except Exception as error:  # of any kind: nobody else would go on
                position, away = self._position, True
                if not self._away:
                    log.warning("%s cannot be read: %s", self._key, error)
            with self._changed:
                self._position, self._away = position, away
                self._changed.notify_all()
            time.sleep(0.5 if away else 0)

    def _read(self, position, pipeline):
        """Add all that comes after this entry, and return the id of the last one."""
        if position:
            pipeline.xread({self._key: position}, count=1, block=BLOCK * 1000)
            pipeline.xrange(self._key, position, count=100)
            entries = pipeline.execute()[1]
        # The oldest are trimmed first: while this one is there, none is missing after it.
        if not position or not entries or entries[0][0].decode() != position:
            pipeline.eval(ORIGIN, 1, self._key).xrevrange(self._key, count=self._kept + 1)
            entries = pipeline.execute()[1][::-1]
            event_id = None if b"data" in entries[0][1] else entries[0][0]
            if position or event_id:
                super().add_message(self._told, "", event_id=event_id)
        for entry_id, fields in entries:
            try:
                if b"data" in fields and entry_id.decode() != position:
                    super().add_message(fields.get(b"event"), fields[b"data"], event_id=entry_id)
            except (ValueError, BufferError) as error:
                log.warning("%s: no event in entry %s: %s", self._key, entry_id, error)
        return entries[-1][0].decode()
