"""Falcon: waitress-serve --threads=50 --channel-request-lookahead=1 falcon_app:app"""

import falcon
from sse import HEADERS, Sse

streams = set()


class Events(object):
    def on_get(self, req, resp):
        sse = Sse(max_pending=100000)
        streams.add(sse)
        resp.set_headers(HEADERS)
        resp.stream = sse.stream()


class Add(object):
    def on_post(self, req, resp):
        publish(req.bounded_stream.read().decode("utf-8", "replace"))
        resp.data = b"%d" % len(streams)


def publish(text):
    for sse in list(streams):
        try:
            sse.add_json("news", text)
        except (BufferError, ValueError):   # too slow, or gone
            sse.close()
            streams.discard(sse)


app = falcon.App() if hasattr(falcon, "App") else falcon.API()  # before 3.0
app.add_route("/events", Events())
app.add_route("/add", Add())
