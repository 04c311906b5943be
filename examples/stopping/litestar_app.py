"""Litestar: litestar --app litestar_app:app run"""

from lifespan import channel, lifespan
from litestar import Litestar, Request, get
from litestar.response import Stream
from sse import HEADERS


@get("/events")
async def events(request: Request) -> Stream:
    return Stream(channel.open(request).astream(), headers=dict(HEADERS))


app = Litestar([events], lifespan=[lifespan])
