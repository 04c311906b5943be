"""FastAPI: python answer_post.py"""

import asyncio

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import BaseModel
from sse import HEADERS, Channel

app = FastAPI()
# No reconnection time: fetch() does not reconnect, and some clients mishandle that block.
answers = Channel(default_retry=None)


class Question(BaseModel):
    text: str


async def write(sse, question):
    for word in ("You asked: " + question.text).split():
        sse.add_json("word", word)
        await asyncio.sleep(0.1)
    sse.add_json("done", None)


@app.post("/answer")
async def answer(request: Request, question: Question):
    stream = answers.open(request).astream(producer=lambda sse: write(sse, question))
    return StreamingResponse(stream, headers=dict(HEADERS))


@app.get("/", response_class=HTMLResponse)
async def page():
    return r"""<!DOCTYPE html>
<title>A question by POST</title>
<textarea></textarea> <button>Ask</button> <button disabled>Stop</button>
<p></p>
<script>
  const [ask, stop] = document.querySelectorAll("button"), answer = document.querySelector("p");

  ask.onclick = async () => {
    const controller = new AbortController();
    stop.onclick = () => controller.abort();    // disconnects: the server cancels the answer
    ask.disabled = true;
    stop.disabled = false;
    answer.textContent = "";
    try {
      let complete = false;
      const text = document.querySelector("textarea").value;
      for await (const [type, data] of events("/answer", {text}, controller.signal)) {
        if (type === "word") answer.append(data, " ");
        if (type === "done") complete = true;
      }
      if (!complete) throw new Error("the answer has no last event");
    } catch (error) {
      answer.append(error.name === "AbortError" ? "(Stopped.)" : "(The answer broke off.)");
    }
    ask.disabled = false;
    stop.disabled = true;
  };

  // The types and values of a stream to which only `add_json` adds.
  async function* events(url, body, signal) {
    const response = await fetch(url, {method: "POST", signal, body: JSON.stringify(body),
      headers: {"Content-Type": "application/json"}});
    if (!response.ok) throw new Error(response.status);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const {done, value} = await reader.read();
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const [, type] = /^event: (.*)$/m.exec(block), [, data] = /^data: (.*)$/m.exec(block);
        yield [type, JSON.parse(data)];
      }
    }
  }
</script>
"""


if __name__ == "__main__":
    uvicorn.run(app, port=8000)
