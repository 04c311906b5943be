"""Falcon under ASGI: uvicorn falcon_asgi_app:app"""

import falcon.asgi
from sse import Channel, HEADERS
from stopping import close_on_stop

channel = Channel(history=1000)


class Chunk(bytes):
    """What `resp.sse` takes. With `resp.stream` Falcon never checks for a disconnect."""

    def serialize(self, handler):
        return bytes(self)


class Events:
    async def on_get(self, req, resp):
        close_on_stop(channel)
        chunks = channel.open(req).astream()
        resp.set_headers(HEADERS)
        resp.sse = (Chunk(chunk) async for chunk in chunks)


class Add:
    async def on_post(self, req, resp):
        channel.add_json("news", (await req.stream.read()).decode("utf-8", "replace"))
        resp.status = falcon.HTTP_204


app = falcon.asgi.App()
app.add_route("/events", Events())
app.add_route("/add", Add())
