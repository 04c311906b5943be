"""FastAPI: uvicorn fastapi_app:app"""

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from sse import Channel, HEADERS
from stopping import close_on_stop

app = FastAPI()
channel = Channel(history=1000)


@app.get("/events")
async def events(request: Request):
    close_on_stop(channel)
    return StreamingResponse(channel.open(request).astream(), headers=dict(HEADERS))


@app.post("/add", status_code=204)
async def add(request: Request):
    channel.add_json("news", (await request.body()).decode("utf-8", "replace"))
