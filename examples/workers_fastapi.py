"""FastAPI, two workers: uvicorn --workers 2 --timeout-graceful-shutdown=5 workers_fastapi:app"""

import asyncio
import os

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from redis_store import NotConfirmed, RedisStore
from sse import HEADERS, Channel

app = FastAPI()
url = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
channel = Channel(history=1000, store=RedisStore(url, "news"))


@app.get("/events")
async def events(request: Request):
    sse = await asyncio.to_thread(channel.open, request)    # it may wait for the store
    return StreamingResponse(sse.astream(), headers=dict(HEADERS))


@app.post("/add", status_code=204)
async def add(request: Request):
    text = (await request.body()).decode("utf-8", "replace")
    await asyncio.to_thread(channel.add_json, "news", text)


@app.exception_handler(NotConfirmed)
async def not_confirmed(request, error):
    return PlainTextResponse("the event may not have been published", 503)
