"""Bottle: waitress-serve --threads=50 --channel-request-lookahead=1 bottle_app:app"""

from bottle import Bottle, HTTPResponse, request
from sse import HEADERS, Sse

app = Bottle()
streams = set()


@app.get("/events")
def events():
    sse = Sse(max_pending=100000)
    streams.add(sse)
    return HTTPResponse(sse.stream(), headers=HEADERS)


@app.post("/add")
def add():
    publish(request.body.read().decode("utf-8", "replace"))
    return "%d" % len(streams)


def publish(text):
    for sse in list(streams):
        try:
            sse.add_json("news", text)
        except (BufferError, ValueError):   # too slow, or gone
            sse.close()
            streams.discard(sse)
