"""What several tests of `astream` need."""

import asyncio
import gc
import platform

import pytest

from support import COMMENT, FOREVER


class ClockLoop(asyncio.SelectorEventLoop):
    """A loop whose time stands still until a test sets `now`, and which counts some calls."""

    def __init__(self):
        self.now = 1000.0
        self.timers = self.threadsafe_calls = 0
        super().__init__()

    def time(self):
        return self.now

    def call_at(self, *args, **kwargs):
        self.timers += 1
        return super().call_at(*args, **kwargs)

    def call_soon_threadsafe(self, *args, **kwargs):
        self.threadsafe_calls += 1
        return super().call_soon_threadsafe(*args, **kwargs)

    def pending_timers(self):
        return [timer for timer in self._scheduled if not timer._cancelled]

    async def advance(self, seconds):
        self.now += seconds
        await turn()


PYPY = platform.python_implementation() == "PyPy"


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


async def waiting(stream):
    """A task that waits for the next chunk of `stream`."""
    task = asyncio.ensure_future(stream.__anext__())
    await turn()
    assert not task.done()
    return task


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
