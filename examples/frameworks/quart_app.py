"""Quart: hypercorn quart_app:app"""

from quart import Quart, request, Response
from sse import Channel, HEADERS
from stopping import close_on_stop

app = Quart(__name__)
channel = Channel(history=1000)


@app.get("/events")
async def events():
    close_on_stop(channel)
    response = Response(channel.open(request).astream(), headers=dict(HEADERS))
    # Otherwise the stream falls silent after 60 seconds, with the connection open.
    response.timeout = None
    return response


@app.post("/add")
async def add():
    channel.add_json("news", await request.get_data(as_text=True))
    return "", 204
