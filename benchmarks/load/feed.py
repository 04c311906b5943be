"""What the load test loads: GET /events and POST /publish, each for all or for ?topic=TOPIC.

STORE is the path of an SQLite file, or where a Redis is.
"""

import asyncio
import os
from urllib.parse import parse_qs

from redis_store import NotConfirmed, RedisStore
from sqlite_store import SQLiteStore
from sse import Channel, HEADERS

where = os.environ["STORE"]
channel = Channel(history=10000, store=(
    RedisStore(where, "load") if where.startswith("redis:") else SQLiteStore(where)))


def publish(topics, body):
    try:
        (channel.to(*topics) if topics else channel).add_message(None, body)
    except Exception as error:      # each store has a NotConfirmed of its own
        if type(error).__name__ != NotConfirmed.__name__:
            raise
        return "503 Service Unavailable"
    return "202 Accepted"


def application(environ, start_response):
    topics = parse_qs(environ["QUERY_STRING"]).get("topic", [])
    if environ["REQUEST_METHOD"] == "POST":
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response(publish(topics, body), [("Content-Type", "text/plain")])
        return []
    return channel.open(environ, topics)(environ, start_response)


async def asgi(scope, receive, send):
    topics = parse_qs(scope.get("query_string", b"").decode()).get("topic", [])
    if scope["type"] == "http" and scope["method"] == "POST":
        status = await asyncio.to_thread(publish, topics, (await receive())["body"])
        await send({"type": "http.response.start", "status": int(status[:3]), "headers": []})
        await send({"type": "http.response.body"})
    elif scope["type"] == "http":
        sse = await asyncio.to_thread(channel.open, scope, topics)
        await send({"type": "http.response.start", "status": 200, "headers": [
            (name.lower().encode(), value.encode()) for name, value in HEADERS]})
        await receive()         # the request; the next is its end
        disconnected = asyncio.ensure_future(receive())
        disconnected.add_done_callback(lambda _: sse.close())
        async for chunk in sse.astream():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        disconnected.cancel()
        await send({"type": "http.response.body"})
