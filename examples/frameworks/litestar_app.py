"""Litestar: uvicorn --timeout-graceful-shutdown=5 litestar_app:app"""

from litestar import get, Litestar, post, Request
from litestar.response import Stream
from sse import Channel, HEADERS

channel = Channel(history=1000)


@get("/events")
async def events(request: Request) -> Stream:
    return Stream(channel.open(request).astream(), headers=dict(HEADERS))


@post("/add", status_code=204)
async def add(request: Request) -> None:
    channel.add_json("news", (await request.body()).decode("utf-8", "replace"))


app = Litestar([events, add])
