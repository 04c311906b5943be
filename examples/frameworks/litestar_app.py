"""Litestar: uvicorn litestar_app:app"""

from litestar import get, Litestar, post, Request
from litestar.response import Stream
from sse import Channel, HEADERS
from stopping import close_on_stop

channel = Channel(history=1000)


@get("/events")
async def events(request: Request) -> Stream:
    close_on_stop(channel)
    return Stream(channel.open(request).astream(), headers=dict(HEADERS))


@post("/add", status_code=204)
async def add(request: Request) -> None:
    channel.add_json("news", (await request.body()).decode("utf-8", "replace"))


app = Litestar([events, add])
