"""A feed for any number of processes, on any number of machines, that loses nothing.

    pip install sse redis "gunicorn[gevent]"
    gunicorn -k gevent -w 4 examples.redis_feed:application
    gunicorn -k gthread -w 4 --threads 250 examples.redis_feed:application
    python examples/redis_feed.py [--host 127.0.0.1] [--port 8000]

    POST /publish/CHANNEL   event=...&data=..., or the same two as JSON; 202 and the id
    GET /events/CHANNEL     the event stream, from now on or after Last-Event-ID
    GET /                   a page to watch a channel and publish to it

A channel is a Redis Stream (REDIS_URL says where; Redis 5 or later, with its append-only
file on), the id of an entry is the id of an event, and Last-Event-ID is where to read on.
Each process reads Redis with one connection for all of its clients. While Redis is away
the streams stay open; they go on where they stopped. A client whose next entries were
trimmed away first gets an event "gap".

Anybody may watch and publish: put your own login in front of it. Python 3.
"""

import argparse
import json
import logging
import os
import random
import re
import socketserver
import sys
import threading
import time
import uuid
from urllib.parse import parse_qsl
from wsgiref.simple_server import WSGIServer, make_server

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sse import Sse, last_event_id

HISTORY = 10000                 # entries of a channel that are kept, or a few more
MAX_BODY = 64 * 1024
MAX_PENDING = 8 * MAX_BODY      # the largest entry fits: a line end makes seven bytes
PAGE = 100                      # entries of a channel that are read at once
BLOCK = 2                       # seconds

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
ENTRY_ID = re.compile(r"([0-9]{1,20})-([0-9]{1,20})\Z")

# Each entry names the one before it: a client that did not get that one has missed some.
# Redis itself does not tell what a trim took.
ADD = """
local previous = '0-0'
local info = redis.pcall('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then previous = info[i + 1] end
end
return redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*',
                  'previous', previous, unpack(ARGV, 2))
"""

log = logging.getLogger("redis_feed")

# No retries by the library: an XADD that was done but not answered would be done twice.
# A pool that waits: a thousand clients that come at once are not a thousand connections.
store = redis.Redis(connection_pool=redis.BlockingConnectionPool.from_url(
    os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"), max_connections=8, timeout=5,
    socket_connect_timeout=2, socket_timeout=BLOCK + 3, retry=Retry(NoBackoff(), 0)))


def parse_id(text):
    """An entry id as a pair of integers, which compare as its entries do; or None."""
    match = ENTRY_ID.match(text or "")
    pair = match and (int(match.group(1)), int(match.group(2)))
    return pair if pair and max(pair) < 2 ** 64 else None


def newest(key):
    """The id of the last entry that was ever added."""
    try:
        return parse_id(store.xinfo_stream(key)["last-generated-id"].decode())
    except redis.ResponseError:
        return 0, 0     # no such key


class Client(object):
    """The stream of one client, and the id of the last entry that it was given."""

    def __init__(self, last):
        # A time of its own for each: clients that were cut off together come back apart.
        self.sse = Sse(default_retry=random.randint(1000, 3000), max_pending=MAX_PENDING)
        self.last = last

    def give(self, entries):
        """Add those that come after the last one."""
        for entry_id, previous, event, data in entries:
            if entry_id > self.last and not self.sse.closed:
                self.reach(previous)
                self.add(event, data, "%d-%d" % entry_id)
                self.last = entry_id

    def reach(self, entry_id):
        """All up to this entry was given or is gone."""
        if entry_id > self.last:
            self.add("gap", "entries after %d-%d are gone" % self.last)
            self.last = entry_id

    def add(self, event, data, event_id=None):
        try:
            self.sse.add_message(event, data, event_id=event_id)
        except BufferError:
            self.sse.close()    # too slow: it gets what waits, and comes back for the rest
        except ValueError:
            pass                # it has left


class Reader(object):
    """Feeds all clients of this process from one blocking XREAD."""

    def __init__(self):
        self.lock = threading.Lock()
        self.thread = None
        self.joining = []       # pairs of key and client
        # The rest belongs to the thread.
        self.newcomers = {}     # key: clients that are to be given what they missed
        self.clients = {}       # key: clients that have all up to the position, or more
        self.positions = {}     # key: id of the last entry that was read

    def join(self, key, client):
        with self.lock:
            self.joining.append((key, client))
            first = len(self.joining) == 1
            if self.thread is None:
                # Not before the first client: a thread does not survive the fork of a server.
                self.wake_key = "sse:wake:" + uuid.uuid4().hex
                self.positions[self.wake_key] = 0, 0
                self.thread = threading.Thread(target=self.run, daemon=True)
                self.thread.start()
        if first:
            self.wake()

    def wake(self):
        """End the XREAD that knows nothing of the new client, by an entry in its own stream."""
        try:
            with store.pipeline(transaction=False) as pipeline:
                pipeline.xadd(self.wake_key, {"": ""}, maxlen=1, approximate=False)
                pipeline.expire(self.wake_key, 60)
                pipeline.execute()
        except redis.RedisError:
            pass    # then XREAD fails as well, or ends after BLOCK

    def run(self):
        delay = 0.1
        while True:
            try:
                self.replay()
                self.read()
                delay = 0.1
            except redis.RedisError as error:
                log.warning("Redis is away: %s", error)
                time.sleep(delay * random.uniform(0.5, 1))
                delay = min(2 * delay, 5)

    def replay(self):
        """Give newcomers what they missed, by one read for all of a channel.

        It may read further than the position: what is then read again, they have.
        """
        with self.lock:
            joining, self.joining = self.joining, []
        for key, client in joining:
            self.newcomers.setdefault(key, set()).add(client)
        for key, newcomers in list(self.newcomers.items()):
            last_added = newest(key)
            position = min(client.last for client in newcomers)
            found = self.fetch({key: position})
            while found:
                entries, position = found[key]
                for client in newcomers:
                    client.give(entries)
                found = self.fetch({key: position})
            for client in newcomers:
                client.reach(last_added)
            self.positions.setdefault(key, position)
            self.clients.setdefault(key, set()).update(newcomers)
            del self.newcomers[key]

    def read(self):
        """Wait for entries of any channel, and give them to its clients."""
        for key, clients in list(self.clients.items()):
            clients.difference_update([client for client in clients if client.sse.closed])
            if not clients:
                del self.clients[key], self.positions[key]
        for key, (entries, position) in self.fetch(self.positions, BLOCK * 1000).items():
            self.positions[key] = position
            for client in self.clients.get(key, ()):
                client.give(entries)

    def fetch(self, positions, block=None):
        """The entries after each position, and the new positions."""
        found = store.xread({key: "%d-%d" % position for key, position in positions.items()},
                            count=PAGE, block=block)
        return {key.decode(): (list(self.parse(entries)), parse_id(entries[-1][0].decode()))
                for key, entries in found}

    def parse(self, entries):
        """Tuples of id, id of the entry before, event and data."""
        for entry_id, fields in entries:
            event, data = fields.get(b"event"), fields.get(b"data")
            try:
                Sse().add_message(event, data)
            except (TypeError, ValueError) as error:
                if data is not None:
                    log.warning("not an event: entry %s: %s", entry_id, error)
                continue
            yield (parse_id(entry_id.decode()),
                   parse_id(fields.get(b"previous", b"").decode("latin-1")) or (0, 0), event, data)


reader = Reader()


class Refused(Exception):
    """An answer other than the one that was asked for: a status, why, and headers."""


def events(environ, start_response, channel):
    key = "sse:channel:" + channel
    last = parse_id(last_event_id(environ))
    fresh = last is None
    try:
        now = newest(key)
        last = now if fresh else min(last, now)
    except redis.RedisError:
        # An id begins with the time, and while Redis is away nothing is published.
        last = last or (int(time.time() * 1000), 0)
    client = Client(last)
    if fresh:
        # So that a client that is cut off before its first event loses nothing either.
        client.sse.set_event_id("%d-%d" % last)
    chunks = client.sse(environ, start_response)
    reader.join(key, client)
    return chunks


def publish(environ, start_response, channel):
    event, data = message(environ)
    fields = ["data", data] + ([] if event is None else ["event", event])
    try:
        entry_id = store.eval(ADD, 1, "sse:channel:" + channel, HISTORY, *fields)
    except redis.RedisError:
        raise Refused("503 Service Unavailable", "Redis is away: it may not be published")
    return reply(start_response, "202 Accepted", entry_id)


def message(environ):
    """The event and the data of a request, checked."""
    length = environ.get("CONTENT_LENGTH") or ""
    if not re.match(r"[0-9]{1,18}\Z", length):
        raise Refused("411 Length Required", "Content-Length is missing")
    length = int(length)
    if length > MAX_BODY:
        # Unread, it would make the server reset the connection before the answer arrives.
        environ["wsgi.input"].read(min(length, 16 * MAX_BODY))
        raise Refused("413 Content Too Large", "the body is over %d bytes" % MAX_BODY)
    body = environ["wsgi.input"].read(length)
    kind = environ.get("CONTENT_TYPE", "").split(";")[0].strip().lower()
    try:
        if len(body) < length:
            raise ValueError("the body is cut short")
        if kind == "application/json":
            fields = json.loads(body.decode("utf-8"))
        elif kind == "application/x-www-form-urlencoded":
            fields = dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="strict"))
        else:
            raise ValueError("the body must be a form or application/json")
        if not isinstance(fields, dict) or not isinstance(fields.get("data"), str):
            raise ValueError("data must be given, as text")
        event, data = fields.get("event"), fields["data"]
        Sse().add_message(event, data)
    except (TypeError, ValueError, RecursionError) as error:
        raise Refused("400 Bad Request", str(error))
    if event == "gap":
        raise Refused("400 Bad Request", "gap is an event of the feed's own")
    return event, data


def page(environ, start_response, channel):
    return reply(start_response, "200 OK", PAGE_HTML.encode("utf-8"), "text/html")


def reply(start_response, status, body, kind="text/plain", headers=()):
    start_response(status, [("Content-Type", kind + "; charset=utf-8"),
                            ("Content-Length", str(len(body)))] + list(headers))
    return [body]


ROUTES = {"": (page, "GET"), "events": (events, "GET"), "publish": (publish, "POST")}


def application(environ, start_response):
    place, _, channel = environ.get("PATH_INFO", "/")[1:].partition("/")
    handler, allowed = ROUTES.get(place, (None, ""))
    head = environ["REQUEST_METHOD"] == "HEAD"
    try:
        if handler is None or (channel and handler is page):
            raise Refused("404 Not Found", "there is /, /events/CHANNEL and /publish/CHANNEL")
        if ("GET" if head else environ["REQUEST_METHOD"]) != allowed:
            raise Refused("405 Method Not Allowed", "use " + allowed, ("Allow", allowed))
        if not NAME.match(channel) and handler is not page:
            raise Refused("400 Bad Request", "a channel is 1 to 64 of A-Z, a-z, 0-9, _ and -")
        body = handler(environ, start_response, channel)
    except Refused as refused:
        status, reason = refused.args[:2]
        body = reply(start_response, status, (reason + "\n").encode("utf-8"),
                     headers=refused.args[2:])
    return [] if head else body


PAGE_HTML = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>Feed</title>
<style>
  :root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent) }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: auto; padding: 1rem }
  form { display: flex; align-items: center; gap: .5rem; margin: .75rem 0; flex-wrap: wrap }
  input, button { font: inherit; padding: .3rem .6rem }
  [name=data] { flex: 1 }
  ol { list-style: none; padding: 0; border-top: 1px solid var(--line) }
  li { display: flex; gap: 1rem; padding: .35rem 0; border-bottom: 1px solid var(--line) }
  time, li b { flex: none; opacity: .7 } li b { min-width: 6rem }
  pre { font: inherit; margin: 0; white-space: pre-wrap; overflow-wrap: anywhere }
</style>
<h1>Feed</h1>
<form id="watch">
  <input name="channel" value="lobby" pattern="[A-Za-z0-9_\\-]{1,64}" required aria-label="Channel">
  <input name="types" placeholder="more event types" aria-label="Event types">
  <button>Watch</button> <output id="state"></output>
</form>
<form id="publish">
  <input name="event" placeholder="event type" aria-label="Event type">
  <input name="data" placeholder="data" aria-label="Data">
  <button>Publish</button> <output id="answer"></output>
</form>
<ol id="events"></ol>
<script>
const $ = id => document.getElementById(id), watch = $("watch").elements;
let source, types;
function listen(type) {         // an EventSource gives only the types that are asked for
  if (!types.has(type)) source.addEventListener(type, show);
  types.add(type);
}
function show(event) {
  const row = document.createElement("li");
  for (const [name, text] of [["time", new Date().toLocaleTimeString()],
                              ["b", event.type], ["pre", event.data]])
    row.appendChild(document.createElement(name)).textContent = text;
  row.title = event.lastEventId;
  $("events").prepend(row);
  while ($("events").children.length > 500) $("events").lastChild.remove();
}
$("watch").onsubmit = submitted => {
  if (submitted) submitted.preventDefault();
  if (source) source.close();
  types = new Set();
  source = new EventSource("events/" + watch.channel.value);
  source.onopen = () => { $("state").value = "connected" };
  source.onerror = () => { $("state").value = source.readyState ? "closed" : "comes back" };
  ["message", "gap", ...watch.types.value.split(/[\\s,]+/)].filter(Boolean).forEach(listen);
};
$("publish").onsubmit = async submitted => {
  submitted.preventDefault();
  const {event, data} = submitted.target.elements;
  if (event.value) listen(event.value);
  const answer = await fetch("publish/" + watch.channel.value, {
    method: "POST", body: new URLSearchParams({event: event.value, data: data.value})});
  $("answer").value = answer.ok ? "" : await answer.text();
  if (answer.ok) data.value = "";
};
$("watch").onsubmit();
</script>
"""


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """A thread for each request; those of open streams do not hold up the end."""

    daemon_threads = True
    request_queue_size = 128


def main():
    parser = argparse.ArgumentParser(description="A feed of events out of Redis Streams.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    try:
        server = make_server(options.host, options.port, application, Server)
    except (OSError, OverflowError) as error:
        sys.exit("%s:%d: %s" % (options.host, options.port, error))
    print("http://%s:%d/" % (options.host, options.port), flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
