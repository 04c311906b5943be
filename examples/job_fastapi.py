"""A job that outlives its page: pip install . fastapi uvicorn && python examples/job_fastapi.py"""

import os

import uvicorn
from fastapi import BackgroundTasks, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, StreamingResponse
from job import channel, jobs, new, run
from sse import HEADERS

app = FastAPI()
HERE = os.path.dirname(__file__)


@app.post("/jobs")
async def start(tasks: BackgroundTasks, fails: bool = False):
    job = new()
    tasks.add_task(run, job, fails)     # in a thread: it is not async
    return job


@app.get("/jobs/{job}")
async def watch(request: Request, job: str):
    if job not in jobs:
        raise HTTPException(404)
    sse = channel.open(request, topics="job:" + job)
    if not sse.closed:                      # as it is in a closed channel
        sse.add_json("state", jobs[job])    # after `open`, so that no state is missed
    return StreamingResponse(sse.astream(), headers=dict(HEADERS))


@app.get("/")
async def page():
    return FileResponse(os.path.join(HERE, "job.html"))


@app.get("/style.css")
async def style():
    return FileResponse(os.path.join(HERE, "style.css"))


if __name__ == "__main__":
    uvicorn.run(app, port=8000)
