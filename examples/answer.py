"""An answer that is written word by word, by a generator that knows this project's documentation.

    pip install . starlette uvicorn && python examples/answer.py        # --host, --port

    GET /               the page
    GET /answer?about=  the event stream of one answer: word, pause, and at last done
    GET /writing        the event stream of how many answers are being written now

A client that disconnects, as the page does on Stop, cancels its answer. Python 3.
"""

import asyncio
import collections
import contextlib
import glob
import os
import random
import re
import signal

import uvicorn
from starlette.applications import Starlette
from starlette.responses import FileResponse, StreamingResponse
from starlette.routing import Route

from server import HERE, options
from sse import HEADERS, Channel

PAUSE = 5           # seconds
KEEPALIVE = 1       # far less than any proxy waits for the next byte

answers = Channel()     # nothing is added to it: it knows which answers are being written
watchers = Channel()    # gets their number


class Chain:
    """A Markov chain: each word follows two others as it does somewhere in the texts."""

    def __init__(self, paths):
        self.next = collections.defaultdict(list)
        self.starts = []        # the first two words of a sentence, and all of it
        for path in paths:
            with open(path, encoding="utf-8") as file:
                for paragraph in re.split(r"\n\s*\n", file.read()):
                    # No lists, tables or code; it ends as a sentence does.
                    if re.fullmatch(r"[A-Z`](?!.*(==|--)).*\.", paragraph, re.DOTALL):
                        self.learn(re.sub(r"\s<[^>]*>`_+|[`*|]|_(?=\s)", "", paragraph))

    def learn(self, paragraph):
        for sentence in re.split(r"(?<=\.)\s+", paragraph):
            words = sentence.split()
            if len(words) > 2:
                self.starts.append((words[0], words[1], sentence.lower()))
            for a, b, c in zip(words, words[1:], words[2:]):
                self.next[a, b].append(c)

    def sentence(self, about):
        """Words that begin like a sentence that has a word of `about`, if there is one."""
        asked = [word for word in re.findall(r"\w+", about.lower()) if len(word) > 3]
        fit = [start for start in self.starts if any(word in start[2] for word in asked)]
        a, b, _ = random.choice(fit or self.starts)
        yield a
        for _ in range(30):     # a chain may go round in circles
            yield b
            a, b = b, random.choice(self.next.get((a, b), [None]))
            if b is None:
                break


chain = Chain(sorted(glob.glob(os.path.join(HERE, os.pardir, "*.rst"))
                     + glob.glob(os.path.join(HERE, os.pardir, "docs", "*.rst"))))


def count():
    watchers.add_json("writing", len(answers.streams))


async def answer(request):
    about = request.query_params.get("about", "")

    async def write(sse):
        try:
            count()
            for paragraph in range(2):
                if paragraph:
                    sse.add_event_pause(str(PAUSE))
                    await asyncio.sleep(PAUSE)
                for _ in range(3):
                    for word in chain.sentence(about):
                        sse.add_event_word(word)
                        await asyncio.sleep(random.uniform(.02, .12))
            sse.add_event_done("")
        finally:
            # Also when the client disconnects, which cancels this.
            sse.close()
            count()

    stream = answers.open(request).astream(keepalive=KEEPALIVE, producer=write)
    return StreamingResponse(stream, headers=dict(HEADERS))


async def writing(request):
    sse = watchers.open(request)
    if not sse.closed:
        sse.add_json("writing", len(answers.streams))
    return StreamingResponse(sse.astream(), headers=dict(HEADERS))


def file(name):
    return lambda request: FileResponse(os.path.join(HERE, name))


@contextlib.asynccontextmanager
async def lifespan(app):
    """End all streams on Ctrl-C: before uvicorn's own handlers, which wait for the streams."""
    loop = asyncio.get_running_loop()
    for number in signal.SIGINT, signal.SIGTERM:
        def handler(*args, before=signal.getsignal(number)):
            loop.call_soon_threadsafe(answers.close)
            loop.call_soon_threadsafe(watchers.close)
            before(*args)
        signal.signal(number, handler)
    yield


app = Starlette(lifespan=lifespan, routes=[
    Route("/", file("answer.html")), Route("/style.css", file("style.css")),
    Route("/answer", answer), Route("/writing", writing)])

if __name__ == "__main__":
    given = options(__doc__)
    uvicorn.run(app, host=given.host, port=given.port)
