"""Starlette: uvicorn starlette_app:app"""

from sse import Channel, HEADERS
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from stopping import close_on_stop

channel = Channel(history=1000)


async def events(request):
    close_on_stop(channel)
    return StreamingResponse(channel.open(request).astream(), headers=dict(HEADERS))


async def add(request):
    channel.add_json("news", (await request.body()).decode("utf-8", "replace"))
    return Response(status_code=204)


app = Starlette(routes=[Route("/events", events), Route("/add", add, methods=["POST"])])
