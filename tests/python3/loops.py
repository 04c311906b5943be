"""What several tests of `astream` need."""

import asyncio
import gc
import platform

import pytest

from sse import Sse
from support import COMMENT, FOREVER, Threads

PYPY = platform.python_implementation() == "PyPy"

# Python 3.6
current_task = getattr(asyncio, "current_task", None) or asyncio.Task.current_task


def new():
    return Sse(default_retry=None)


def message(data):
    return b"event: e\ndata: " + str(data).encode() + b"\n\n"


def here(function, *args):
    function(*args)


def in_thread(function, *args):
    """Call `function` in another thread, and wait for it."""
    threads = Threads()
    threads.start(function, *args)
    threads.join()


HERE_OR_THREAD = pytest.mark.parametrize("call", [here, in_thread])


def collect():
    """Collect garbage; PyPy runs finalizers one after the other."""
    for _ in range(4 if PYPY else 1):
        gc.collect()


async def turn(times=10):
    """Let everything run that can."""
    for _ in range(times):
        await asyncio.sleep(0)


async def begun(sse, keepalive=FOREVER, **kwargs):
    """The stream of an empty `sse`; its first chunk, the comment, is taken."""
    stream = sse.astream(keepalive, **kwargs)
    if keepalive is not None:
        assert await stream.__anext__() == COMMENT
    return stream


async def next_of(stream):
    return await stream.__anext__()


async def waiting(stream):
    """A task that waits for the next chunk of `stream`."""
    task = asyncio.ensure_future(stream.__anext__())
    await turn()
    assert not task.done()
    return task


async def one_that_waits(**kwargs):
    """An `Sse`, its stream, and a task that waits for the second chunk."""
    sse = new()
    stream = await begun(sse, **kwargs)
    return sse, stream, await waiting(stream)


async def read(stream):
    """All chunks of `stream`, joined, without the comments."""
    chunks = []
    async for chunk in stream:
        if chunk != COMMENT:
            chunks.append(chunk)
    return b"".join(chunks)


async def ended(stream):
    """Whether `stream` has ended; it must not wait."""
    with pytest.raises(StopAsyncIteration):
        await stream.__anext__()
    return True
