"""Starlette, FastAPI: uvicorn lifespan:app; or hypercorn -w 0, or gunicorn's UvicornWorker

Without `lifespan` these servers wait until the last client has disconnected.
"""

from contextlib import asynccontextmanager

from signals import close_on_signals
from sse import HEADERS, Channel
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

channel = Channel()


@asynccontextmanager
async def lifespan(app):
    # Before the yield: code after it runs only once all responses have ended.
    close_on_signals(channel)
    yield


async def events(request):
    return StreamingResponse(channel.open(request).astream(), headers=dict(HEADERS))


app = Starlette(routes=[Route("/events", events)], lifespan=lifespan)
