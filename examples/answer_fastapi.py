import asyncio

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from sse import HEADERS, Sse

app = FastAPI()


async def write(sse):
    for word in "This takes its time".split():
        sse.add_event_word(word)
        await asyncio.sleep(0.3)        # is cancelled when the client disconnects
    sse.add_event_done("")


@app.get("/answer")
async def answer():
    return StreamingResponse(Sse().astream(producer=write), headers=dict(HEADERS))


if __name__ == "__main__":
    uvicorn.run(app, port=8000)
