import asyncio
import os

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, StreamingResponse
from sse import HEADERS, Channel

app = FastAPI()
answers = Channel()     # nothing is added to it: each answer has a stream of its own


async def write(sse, question):
    for word in ("You asked: " + question).split():
        sse.add_event_word(word)
        await asyncio.sleep(0.3)
    sse.add_event_done("")


@app.get("/answer")
async def answer(request: Request, question: str):
    stream = answers.open(request).astream(producer=lambda sse: write(sse, question))
    return StreamingResponse(stream, headers=dict(HEADERS))


@app.get("/")
async def page():
    return FileResponse(os.path.join(os.path.dirname(__file__), "question.html"))


if __name__ == "__main__":
    uvicorn.run(app, port=8000)
