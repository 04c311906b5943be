import asyncio

import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, StreamingResponse
from sse import HEADERS, Sse

app = FastAPI()


async def write(sse, question):
    for word in ("You asked: " + question).split():
        sse.add_event_word(word)
        await asyncio.sleep(0.3)
    sse.add_event_done("")


@app.get("/answer")
async def answer(question: str):
    stream = Sse().astream(producer=lambda sse: write(sse, question))
    return StreamingResponse(stream, headers=dict(HEADERS))


@app.get("/", response_class=HTMLResponse)
async def page():
    return """<!DOCTYPE html>
<title>Question and answer</title>
<form><input name="question" required> <button>Ask</button></form>
<p></p>
<script>
  let source = null;
  document.querySelector("form").onsubmit = event => {
    event.preventDefault();
    source?.close();
    const answer = document.querySelector("p");
    answer.textContent = "";
    source = new EventSource("/answer?" + new URLSearchParams(new FormData(event.target)));
    source.addEventListener("word", event => answer.append(event.data, " "));
    source.addEventListener("done", event => event.target.close());
    source.onerror = event => event.target.close();
  };
</script>
"""


if __name__ == "__main__":
    uvicorn.run(app, port=8000)
