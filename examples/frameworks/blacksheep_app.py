"""BlackSheep: uvicorn blacksheep_app:app"""

import asyncio

from blacksheep import Application, get, no_content, post, Request, Response, StreamedContent
from sse import Channel, HEADERS
from stopping import close_on_stop

app = Application()
channel = Channel(history=1000)


@get("/events")
async def events(request: Request):
    close_on_stop(channel)

    # BlackSheep itself never checks whether the client is still there.
    async def until_disconnected(sse):
        while not sse.closed and not await request.is_disconnected():
            await asyncio.sleep(1)

    async def chunks():
        async for chunk in channel.open(request).astream(producer=until_disconnected):
            yield chunk

    headers = [(name.encode(), value.encode()) for name, value in HEADERS[1:]]
    return Response(200, headers, StreamedContent(b"text/event-stream", chunks))


@post("/add")
async def add(request: Request):
    channel.add_json("news", await request.text())
    return no_content()
