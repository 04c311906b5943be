"""Bottle: waitress-serve --threads=50 --channel-request-lookahead=1 bottle_app:app"""

from bottle import Bottle, HTTPResponse, request
from sse import Channel, HEADERS

app = Bottle()
channel = Channel(history=1000)


@app.get("/events")
def events():
    return HTTPResponse(channel.open(request).stream(), headers=HEADERS)


@app.post("/add")
def add():
    channel.add_json("news", request.body.read().decode("utf-8", "replace"))
    return HTTPResponse(status=204)
