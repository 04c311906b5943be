"""Quart: hypercorn -w 0 quart_app:app; or uvicorn, or quart --app quart_app run"""

from quart import Quart, Response, request
from signals import close_on_signals
from sse import HEADERS, Channel

app = Quart(__name__)
channel = Channel()


@app.before_serving
async def before_serving():
    close_on_signals(channel)


@app.get("/events")
async def events():
    response = Response(channel.open(request).astream(), headers=dict(HEADERS))
    response.timeout = None
    return response
