"""Starlette: uvicorn --timeout-graceful-shutdown=5 starlette_app:app"""

import asyncio

from sse import HEADERS, Sse
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

streams = {}


async def chunks():
    sse = Sse(max_pending=100000)
    added = streams[sse] = asyncio.Event()
    try:
        while not sse.closed:
            added.clear()
            yield sse.data_to_send()
            try:
                await asyncio.wait_for(added.wait(), 15)
            except asyncio.TimeoutError:
                sse.add_comment()
    finally:    # the client has left
        sse.close()
        del streams[sse]


async def events(request):
    # To HEAD the server sends no body, so that it would never end.
    body = [] if request.method == "HEAD" else chunks()
    return StreamingResponse(body, headers=dict(HEADERS))


async def add(request):
    publish((await request.body()).decode("utf-8", "replace"))
    return PlainTextResponse("%d" % len(streams))


def publish(text):
    """In the event loop; from a thread: `loop.call_soon_threadsafe(publish, text)`."""
    for sse, added in streams.items():
        try:
            sse.add_json("news", text)
        except BufferError:     # too slow
            sse.close()
        added.set()


app = Starlette(routes=[Route("/events", events), Route("/add", add, methods=["POST"])])
