"""Falcon: waitress-serve --threads=50 --channel-request-lookahead=1 falcon_app:app"""

import falcon
from sse import Channel, HEADERS

channel = Channel(history=1000)


class Events(object):
    def on_get(self, req, resp):
        resp.set_headers(HEADERS)
        resp.stream = channel.open(req).stream()


class Add(object):
    def on_post(self, req, resp):
        channel.add_json("news", req.bounded_stream.read().decode("utf-8", "replace"))
        resp.status = falcon.HTTP_204


app = falcon.App() if hasattr(falcon, "App") else falcon.API()  # before 3.0
app.add_route("/events", Events())
app.add_route("/add", Add())
