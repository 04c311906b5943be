"""Starlette, FastAPI: uvicorn lifespan:app; or hypercorn -w 0, or gunicorn's UvicornWorker

Without `lifespan` these servers wait until the last client has disconnected.
"""

import asyncio
import signal
from contextlib import asynccontextmanager

from sse import HEADERS, Channel
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

channel = Channel()


@asynccontextmanager
async def lifespan(app):
    # Before the yield: what stands after it runs when the last response has ended.
    loop = asyncio.get_running_loop()
    for number in signal.SIGINT, signal.SIGTERM:
        def handler(*args, before=signal.getsignal(number)):
            loop.call_soon_threadsafe(channel.close)
            before(*args)
        signal.signal(number, handler)
    yield


async def events(request):
    return StreamingResponse(channel.open(request).astream(), headers=dict(HEADERS))


app = Starlette(routes=[Route("/events", events)], lifespan=lifespan)
