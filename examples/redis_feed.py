"""A feed for any number of workers, on any number of machines. Anybody may watch and publish.

    pip install sse redis "gunicorn[gevent]" uvicorn
    gunicorn --chdir examples -k gevent -w 4 redis_feed:application
    gunicorn --chdir examples -k gthread -w 4 --threads 250 redis_feed:application
    uvicorn --app-dir examples --workers 2 redis_feed:asgi

    POST /publish/CHANNEL   event=...&data=..., or the same two as JSON; 202 and the id
    GET /events/CHANNEL     the event stream, from now on or after Last-Event-ID
    GET /                   a page to watch a channel and publish to it

REDIS_URL says where Redis is. An event "reset" says that some were missed, and every few seconds
a comment says how many are connected.
"""

import asyncio
from http import HTTPStatus
import json
import os
import re
import signal
import threading
import time
from urllib.parse import parse_qsl

import redis

from redis_channel import NotConfirmed, RedisChannel
from sse import Closed, HEADERS, Sse

FILES = {"/": ("redis_feed.html", "text/html"), "/style.css": ("style.css", "text/css")}
PLACES = re.compile(r"/(events|publish)/[A-Za-z0-9_-]{1,64}\Z")
URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
MAX_BODY = 64 * 1024

store = redis.Redis.from_url(URL, socket_timeout=5)
channels = {}


def channel_of(name):
    channel = channels.get(name)
    if channel is None:
        new = RedisChannel(URL, "sse:channel:" + name, history=10000)
        channel = channels.setdefault(name, new)
        if channel is new:
            threading.Thread(target=count, args=(name, channel), daemon=True).start()
    return channel


def count(name, channel):
    """Tell the channel's clients how many there are in all workers; close it when none is here."""
    key, worker = "sse:clients:" + name, "%s %d" % (os.uname().nodename, os.getpid())
    time.sleep(5)
    while channel.streams:
        now = int(time.time())
        try:
            told = store.pipeline().hset(key, worker, "%d %d" % (len(channel.streams), now)) \
                .expire(key, 60).hgetall(key).execute()[-1].values()
            channel.add_comment("%d connected" % sum(
                int(clients) for clients, at in map(bytes.split, told) if int(at) > now - 15))
        except redis.RedisError:
            channel.add_comment("Redis is unreachable: events arrive when it is back")
        time.sleep(5)
    del channels[name]
    channel.close()


def message(kind, body):
    """The event and the data of a request."""
    if len(body) > MAX_BODY:
        raise BufferError("the body is over %d bytes" % MAX_BODY)
    if kind.startswith("application/json"):
        fields = json.loads(body.decode())
    elif kind.startswith("application/x-www-form-urlencoded"):
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, errors="strict"))
    else:
        raise ValueError("the body must be a form or application/json")
    if not isinstance(fields, dict) or not isinstance(fields.get("data"), str):
        raise ValueError("data must be given, as text")
    return fields.get("event"), fields["data"]


def respond(request, method, path, kind="", body=b""):
    """The status, the headers and the body, text or an Sse, of a response."""
    place, name = path[1:].split("/", 1) if PLACES.match(path) else ("", "")
    allowed = "POST" if place == "publish" else "GET"
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Allow", allowed)]
    if not place and path not in FILES:
        return 404, headers, "use /, /events/CHANNEL or /publish/CHANNEL, of 1 to 64 A-Za-z0-9_-"
    if ("GET" if method == "HEAD" else method) != allowed:
        return 405, headers, "use " + allowed
    try:
        if place == "publish":
            return 202, headers, channel_of(name).add_message(*message(kind.lower(), body))
        if place == "events":
            return 200, list(HEADERS), channel_of(name).open(request)
    except (NotConfirmed, Closed):
        return 503, headers, "Redis is unreachable: the event may not have been published"
    except (TypeError, ValueError, BufferError, RecursionError) as error:
        return 413 if isinstance(error, BufferError) else 400, headers, str(error)
    name, kind = FILES[path]
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return 200, [("Content-Type", kind)], file.read()


def application(environ, start_response):
    length = min(int(environ.get("CONTENT_LENGTH") or 0), 16 * MAX_BODY)
    # More is read than is allowed: unread, it would make the server reset the connection.
    body = environ["wsgi.input"].read(length)
    kind = environ.get("CONTENT_TYPE", "") if len(body) == length else "cut short"
    method = environ["REQUEST_METHOD"]
    status, headers, body = respond(environ, method, environ["PATH_INFO"], kind, body)
    start_response("%d %s" % (status, HTTPStatus(status).phrase), headers)
    return [] if method == "HEAD" else body.stream() if isinstance(body, Sse) else [body.encode()]


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    body, received = b"", {"more_body": True}
    while received.get("more_body"):
        received = await receive()
        if received["type"] == "http.disconnect":
            return
        body = (body + received.get("body", b""))[:MAX_BODY + 1]
    kind = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
    status, headers, body = await asyncio.to_thread(        # it may wait for Redis
        respond, scope, scope["method"], scope["path"], kind, body)
    await send({"type": "http.response.start", "status": status, "headers": [
        (name.lower().encode(), value.encode()) for name, value in headers]})
    if isinstance(body, Sse):
        disconnected, sse, body = asyncio.ensure_future(receive()), body, ""
        disconnected.add_done_callback(lambda _: sse.close())
        async for chunk in sse.astream():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        disconnected.cancel()
    await send({"type": "http.response.body", "body": body.encode()})


async def lifespan(receive, send):
    loop = asyncio.get_running_loop()   # the server would wait for the streams to end
    for number in signal.SIGINT, signal.SIGTERM:
        def handler(*args, before=signal.getsignal(number)):
            loop.call_soon_threadsafe(lambda: [each.close() for each in list(channels.values())])
            before(*args)
        signal.signal(number, handler)
    for word in "startup", "shutdown":
        await receive()
        await send({"type": "lifespan.%s.complete" % word})
