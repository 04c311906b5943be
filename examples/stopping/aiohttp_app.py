"""aiohttp: python aiohttp_app.py"""

from aiohttp import web
from sse import HEADERS, Channel

channel = Channel()


async def events(request):
    return web.Response(body=channel.open(request).astream(), headers=HEADERS)


async def stop(app):
    channel.close()


app = web.Application()
app.add_routes([web.get("/events", events)])
app.on_shutdown.append(stop)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=8000)
