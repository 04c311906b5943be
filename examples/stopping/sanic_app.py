"""Sanic: sanic sanic_app:app"""

from sanic import Sanic
from sse import HEADERS, Channel

app = Sanic("events")
channel = Channel()


@app.get("/events")
async def events(request):
    response = await request.respond(headers=dict(HEADERS))
    async for chunk in channel.open(request).astream():
        await response.send(chunk)


@app.before_server_stop
async def stop(app):
    channel.close()
