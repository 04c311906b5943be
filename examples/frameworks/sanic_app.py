"""Sanic: sanic --single-process sanic_app:app"""

from sanic import empty, Sanic
from sse import Channel, HEADERS

app = Sanic("events")
app.config.GRACEFUL_SHUTDOWN_TIMEOUT = 5        # seconds, for a client that does not read
channel = Channel(history=1000)


@app.get("/events")
async def events(request):
    response = await request.respond(headers=dict(HEADERS))
    async for chunk in channel.open(request).astream():
        await response.send(chunk)


@app.post("/add")
async def add(request):
    channel.add_json("news", request.body.decode("utf-8", "replace"))
    return empty()


@app.before_server_stop
async def stop(app):
    channel.close()
