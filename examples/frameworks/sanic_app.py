"""Sanic: sanic --single-process sanic_app:app"""

from sanic import empty, Sanic
from sse import Channel, HEADERS

app = Sanic("events")
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
