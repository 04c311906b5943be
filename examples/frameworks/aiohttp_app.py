"""aiohttp: python aiohttp_app.py"""

from aiohttp import web
from sse import Channel, HEADERS

channel = Channel(history=1000)
routes = web.RouteTableDef()


@routes.get("/events")
async def events(request):
    return web.Response(body=channel.open(request).astream(), headers=HEADERS)


@routes.post("/add")
async def add(request):
    channel.add_json("news", await request.text())
    return web.Response(status=204)


async def stop(app):
    channel.close()


app = web.Application()
app.add_routes(routes)
app.on_shutdown.append(stop)

if __name__ == "__main__":
    # handler_cancellation: a client that disconnects is noticed at once.
    # shutdown_timeout: when the server stops, one that does not read has twice these seconds.
    web.run_app(app, port=8000, handler_cancellation=True, shutdown_timeout=3)
