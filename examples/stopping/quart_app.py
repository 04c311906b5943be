"""Quart: hypercorn -w 0 quart_app:app; or uvicorn, or quart --app quart_app run"""

import asyncio
import signal

from quart import Quart, Response, request
from sse import HEADERS, Channel

app = Quart(__name__)
channel = Channel()


@app.before_serving
async def close_on_signals():
    loop = asyncio.get_running_loop()
    for number in signal.SIGINT, signal.SIGTERM:
        def handler(*args, before=signal.getsignal(number)):
            loop.call_soon_threadsafe(channel.close)
            before(*args)
        signal.signal(number, handler)


@app.get("/events")
async def events():
    response = Response(channel.open(request).astream(), headers=dict(HEADERS))
    response.timeout = None
    return response
