"""examples/frameworks/aiohttp_app.py with compression of whatever it answers, but for streams."""

from aiohttp import web
from aiohttp_app import app


@web.middleware
async def compress(request, handler):
    response = await handler(request)
    if response.content_type != "text/event-stream":
        response.enable_compression()
    return response


app.middlewares.append(compress)
