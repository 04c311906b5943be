"""The applications that live.py loads: LIVE=NAME uvicorn live_apps:asgi, gunicorn live_apps:wsgi.

GET /events is a stream; /publish?count=&rate= sends so many events, so many a second, to all;
/usage tells the seconds of CPU and the bytes of memory that this process has taken.
"""

import asyncio
import json
import os
import time
from urllib.parse import parse_qsl

NAME = os.environ["LIVE"]
VALUE = {"name": "sensor", "value": 21.5, "text": "x" * 60}


def usage():
    with open("/proc/self/statm") as pages:
        memory = int(pages.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    return {"cpu": time.process_time(), "memory": memory}


class Bare:
    """No framework, no encoding: ready bytes to whoever waits, which is the least there is."""

    def __init__(self):
        self.waiting = set()
        self.block = b"event: news\ndata: %s\n\n" % json.dumps(VALUE).encode("ascii")

    async def chunks(self, scope):
        loop = asyncio.get_running_loop()
        while True:
            future = loop.create_future()
            self.waiting.add(future)
            try:
                yield await future
            finally:
                self.waiting.discard(future)

    async def asgi(self, scope, receive, send):
        await receive()     # the request
        task = asyncio.ensure_future(self.respond(scope, send))
        await receive()     # the client disconnected
        task.cancel()

    async def respond(self, scope, send):
        await send({"type": "http.response.start", "status": 200,
                    "headers": [(b"content-type", b"text/event-stream")]})
        async for chunk in self.chunks(scope):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})

    def publish(self):
        waiting, self.waiting = self.waiting, set()
        for future in waiting:
            future.set_result(self.block)


class BareQueues(Bare):
    """The same with a queue for each client, so that none misses an event."""

    def __init__(self):
        super().__init__()
        self.queues = set()

    async def chunks(self, scope):
        queue = asyncio.Queue()
        self.queues.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self.queues.discard(queue)

    def publish(self):
        for queue in self.queues:
            queue.put_nowait(self.block)


class Ours(Bare):
    """A channel with a history and keepalives, without a framework."""

    def __init__(self):
        from sse import Channel
        self.channel = Channel(history=1000)

    def chunks(self, scope):
        return self.channel.open(scope).astream()

    def wsgi(self, environ, start_response):
        return self.channel(environ, start_response)

    def publish(self):
        self.channel.add_json("news", VALUE)


class Starlette(Ours):
    """As its users write it."""

    async def asgi(self, scope, receive, send):
        from sse import HEADERS
        from starlette.responses import StreamingResponse
        response = StreamingResponse(self.channel.open(scope).astream(), headers=dict(HEADERS))
        await response(scope, receive, send)


class Queues:
    """A queue for each client, which is what users of these two write; encoded once, by us."""

    def __init__(self):
        self.queues = set()

    def publish(self):
        text = json.dumps(VALUE)
        for queue in self.queues:
            queue.put_nowait(text)


class SseStarlette(Queues):
    async def events(self):
        queue = asyncio.Queue()
        self.queues.add(queue)
        try:
            while True:
                yield {"event": "news", "data": await queue.get()}
        finally:
            self.queues.discard(queue)

    async def asgi(self, scope, receive, send):
        from sse_starlette import EventSourceResponse
        await EventSourceResponse(self.events())(scope, receive, send)


class FastAPI(Queues):
    def __init__(self):
        from collections.abc import AsyncIterable

        from fastapi import FastAPI
        from fastapi.sse import EventSourceResponse, ServerSentEvent
        super().__init__()
        self.asgi = FastAPI()

        @self.asgi.get("/events", response_class=EventSourceResponse)
        async def events() -> AsyncIterable[ServerSentEvent]:
            queue = asyncio.Queue()
            self.queues.add(queue)
            try:
                while True:
                    yield ServerSentEvent(event="news", raw_data=await queue.get())
            finally:
                self.queues.discard(queue)


class FlaskSSE:
    """A thread and a connection to Redis for each client."""

    def __init__(self):
        import flask
        from flask_sse import sse
        self.sse = sse
        self.wsgi = flask.Flask(__name__)
        self.wsgi.config["REDIS_URL"] = os.environ["REDIS_URL"]
        self.wsgi.register_blueprint(sse, url_prefix="/events")

    def publish(self):
        with self.wsgi.app_context():
            self.sse.publish(VALUE, type="news")


APP = {"bare": Bare, "bare, queues": BareQueues, "sse": Ours, "sse, Starlette": Starlette,
       "sse-starlette": SseStarlette, "FastAPI": FastAPI, "flask-sse": FlaskSSE}[NAME]()


def steps(query):
    """Publish as the query says; gives the seconds to sleep before each event."""
    asked = dict(parse_qsl(query))
    start = time.monotonic()
    for number in range(int(asked["count"])):
        yield max(0, start + number / float(asked["rate"]) - time.monotonic())
        APP.publish()


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/events":
        await APP.asgi(scope, receive, send)
        return
    if scope["path"] == "/publish":
        for seconds in steps(scope["query_string"].decode("ascii")):
            await asyncio.sleep(seconds)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(usage()).encode("ascii")})


def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/events":
        return APP.wsgi(environ, start_response)
    if environ["PATH_INFO"] == "/publish":
        for seconds in steps(environ["QUERY_STRING"]):
            time.sleep(seconds)
    start_response("200 OK", [])
    return [json.dumps(usage()).encode("ascii")]
