"""A log in a Redis Stream, for the channels of all processes, on any number of machines.

    channel = Channel(history=1000, store=RedisStore("redis://127.0.0.1:6379/0", "news"))

Other programs may add to it, for all or for topics:

    redis-cli XADD news '*' event headline data hello topic user:7

Needs Redis 5, redis-py and Python 3.
"""

from contextlib import suppress
import json
import os
import uuid

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sse import Sse

# Any command on the stream, and the epoch: the name of a consumer group holds it, which comes and
# goes with the stream, and which no trimming removes.
COMMAND = """
local exists = redis.call('EXISTS', KEYS[1]) == 1
local epoch
for _, group in ipairs(exists and redis.call('XINFO', 'GROUPS', KEYS[1]) or {}) do
  epoch = epoch or string.match(group[2], '^sse%-(%w+)$')
end
if not epoch then
  epoch = ARGV[1]
  if not exists then redis.call('XADD', KEYS[1], '*', 'sse', 'begins') end
  redis.call('XGROUP', 'CREATE', KEYS[1], 'sse-' .. epoch, '0')
end
return {epoch, redis.call(ARGV[2], KEYS[1], unpack(ARGV, 3))}"""


class NotConfirmed(Exception):
    """What was to be added may be in the log, or not."""


def number_of(entry):
    milliseconds, count = entry[0].split(b"-")
    return int(milliseconds) * 2 ** 64 + int(count)


def id_of(number):
    return "%d-%d" % divmod(number, 2 ** 64)


def read_entry(entry):
    """A number, and what a channel wants; of an entry that is no event no block."""
    pairs = list(zip(entry[1][::2], entry[1][1::2]))
    fields, block, topics = dict(pairs), None, None
    with suppress(ValueError, TypeError, RecursionError):
        topics = (json.loads(fields[b"topics"]) if b"topics" in fields else
                  [value.decode() for name, value in pairs if name == b"topic"] or None)
        block = fields.get(b"block")
        if block is None:
            sse = Sse(None)
            sse.add_message(fields.get(b"event"), fields.get(b"data"))
            block = bytes(sse)
    return number_of(entry), block, topics, fields.get(b"keep") != b"0"


class RedisStore(object):
    """`size`: how many entries are kept at least, many times the history of any channel."""

    def __init__(self, url, key, size=100000):
        self.url, self.key, self.size, self.idle = url, key, size, {}
        self.client()       # or the URL is wrong

    def client(self):
        # No retries: an XADD that was done but not answered would be done twice.
        return redis.Redis.from_url(self.url, socket_timeout=5, socket_connect_timeout=5,
                                    max_connections=1, retry=Retry(NoBackoff(), 0))

    def run(self, work):
        """`work(client)`, with a connection that no other call has, nor any other process."""
        # Not a pool of redis-py's: a signal handler could find its lock taken.
        idle, client = self.idle.setdefault(os.getpid(), []), None
        try:
            with suppress(IndexError):
                client = idle.pop()
            if client is None:
                client = self.client()
                version = client.info("server")["redis_version"]
                if int(version.split(".")[0]) < 5:
                    raise NotConfirmed("Redis must be 5 or later, and is %s" % version)
            result = work(client)
            if len(idle) < 8:
                idle.append(client)
                client = None
            return result
        except redis.RedisError as error:
            raise NotConfirmed("%s: %s" % (self.key, error)) from error
        finally:
            if client is not None:
                client.close()

    def command(self, client, *command):
        return client.eval(COMMAND, 1, self.key, uuid.uuid4().hex[:12], *command)

    def add(self, block, topics, keep):
        fields = ["block", block] + ([] if keep else ["keep", "0"])
        fields += [] if topics is None else ["topics", json.dumps(list(topics))]
        return number_of(self.run(lambda client: self.command(
            client, "XADD", "MAXLEN", "~", self.size, "*", *fields))[1:])

    def newest(self):
        epoch, found = self.run(
            lambda client: self.command(client, "XREVRANGE", "+", "-", "COUNT", 1))
        return epoch.decode(), number_of(found[0]) if found else 0

    def read(self, place, history):
        return self.run(lambda client: (
            place and self.follow(client, *place) or self.start(client, history)))

    def follow(self, client, epoch, number):
        """What comes after this place; None if something is missing there."""
        with client.pipeline(transaction=False) as pipeline:
            pipeline.xread({self.key: id_of(number)}, count=1, block=2000)
            self.command(pipeline, "XRANGE", id_of(number), "+", "COUNT", 500)
            now, found = pipeline.execute()[1]
        if now.decode() != epoch:
            return None
        # The oldest are trimmed first: while this one is there, none is missing after it.
        if number and (not found or number_of(found[0]) != number):
            # Older ones are: it was restored. The first process that sees it ends the epoch.
            if client.xrevrange(self.key, id_of(number), "-", count=1):
                client.xgroup_destroy(self.key, "sse-" + epoch)
            return None
        place = epoch, number_of(found[-1]) if found else number
        return place, None, [read_entry(entry) for entry in found
                             if number_of(entry) != number and b"sse" not in entry[1]]

    def start(self, client, history):
        kept, oldest, last = [], None, "+"
        while True:
            epoch, found = self.command(client, "XREVRANGE", last, "-", "COUNT", 500)
            if oldest is None:
                place = epoch.decode(), number_of(found[0]) if found else 0
            kept += [entry for entry in map(read_entry, found) if entry[3]]
            oldest = found[-1] if found else oldest
            if len(kept) > history or len(found) < 500:
                break
            last = id_of(number_of(oldest) - 1)
        # The first entry of all is the beginning of the log, and no event.
        if oldest and b"sse" in oldest[1]:
            kept.pop()
        base = (kept[history][0] if len(kept) > history else
                number_of(oldest) - (b"sse" not in oldest[1]) if oldest else 0)
        return place, base, kept[:history][::-1]
