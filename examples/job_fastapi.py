"""A job that outlives its page: pip install . fastapi uvicorn && python examples/job_fastapi.py"""

import asyncio
import os

import uvicorn
from fastapi import BackgroundTasks, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, StreamingResponse
from job import channel, new, newest, run
from sse import HEADERS

app = FastAPI()
HERE = os.path.dirname(__file__)


@app.post("/jobs")
def start(tasks: BackgroundTasks, fails: bool = False):
    job = new()
    tasks.add_task(run, job, fails)
    return job


@app.get("/jobs/{job}")
async def watch(request: Request, job: str):
    if await asyncio.to_thread(newest, job) is None:
        raise HTTPException(404)
    sse = await asyncio.to_thread(channel.open, request, "job:" + job)
    state = await asyncio.to_thread(newest, job)    # after `open`, so that no state is missed
    if not sse.closed:                              # as it is in a closed channel
        sse.add_json("state", state)
    return StreamingResponse(sse.astream(), headers=dict(HEADERS))


@app.get("/")
async def page():
    return FileResponse(os.path.join(HERE, "job.html"))


@app.get("/style.css")
async def style():
    return FileResponse(os.path.join(HERE, "style.css"))


if __name__ == "__main__":
    uvicorn.run(app, port=8000)
