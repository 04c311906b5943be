"""Whatever happens between two lines of an asynchronous stream: as in test_moments.py."""

import asyncio
import functools

import pytest

from loops import HERE_OR_THREAD, begun, here, in_thread, message, new, turn
from spec_decoder import decode
from sse import Sse
from support import FOREVER, Threads, moments


def write(sse, text="x", last_id=None, close=False):
    sse.add_message("e", text)
    if last_id:
        sse.set_event_id(last_id)
    if close:
        sse.close()


WRITES = [write, functools.partial(write, last_id="7"), functools.partial(write, close=True)]


@HERE_OR_THREAD
@pytest.mark.parametrize("act", WRITES)
@pytest.mark.parametrize("pending", [0, 1, 2])
@pytest.mark.parametrize("begin", [False, True])
@pytest.mark.parametrize("produces", [False, True])
async def test_a_writer_while_a_stream_looks(produces, begin, pending, act, call):
    """All arrives, in its order, without another add."""
    async def produce(sse):
        await asyncio.sleep(FOREVER)

    for moment in moments():
        sse = new()
        stream = sse.astream(None, produce if produces else None)
        if begin:
            sse.add_message("e", "first")
            await stream.__anext__()
        for _ in range(pending):
            sse.add_message("e", "before")
        task = asyncio.ensure_future(stream.__anext__())
        with moment(lambda: call(act, sse)):
            await turn()
        if moment.left:
            act(sse)
        sent = []
        while True:
            await turn()
            assert task.done(), "it sleeps with %r" % bytes(sse)
            sent.append(task.result())
            if message("x") in sent[-1]:
                break
            task = asyncio.ensure_future(stream.__anext__())
        sse.close()
        sent += [chunk async for chunk in stream]
        last_id = b"id: 7\n\n" if act is WRITES[1] else b""
        assert b"".join(sent) == pending * message("before") + message("x") + last_id


@HERE_OR_THREAD
async def test_a_close_while_a_stream_looks(call):
    for moment in moments():
        sse = new()
        stream = await begun(sse)
        task = asyncio.ensure_future(stream.__anext__())
        with moment(lambda: call(sse.close)):
            await turn()
        if moment.left:
            sse.close()
        await turn()
        assert task.done(), "it sleeps"
        assert isinstance(task.exception(), StopAsyncIteration)


@pytest.mark.parametrize("call", WRITES + [Sse.close])
async def test_a_stream_that_looks_while_a_writer_writes(call, loop):
    """It is woken once there is something, and not before alone."""
    for moment in moments():
        sse = new()
        stream = await begun(sse)
        task = asyncio.ensure_future(stream.__anext__())
        await turn()

        def let_it_look():
            asyncio.run_coroutine_threadsafe(turn(), loop).result(FOREVER)

        def traced():
            with moment(let_it_look):
                call(sse)

        threads = Threads()
        thread = threads.start(traced)
        while thread.is_alive():
            await asyncio.sleep(0)
        threads.join()
        await turn()
        assert task.done()
        if call is Sse.close:
            assert isinstance(task.exception(), StopAsyncIteration)
        else:
            assert task.result().startswith(message("x"))
        sse.close()


@HERE_OR_THREAD
@pytest.mark.parametrize("first", [here, in_thread])
async def test_a_writer_while_another_wakes_the_stream(first, call):
    for moment in moments():
        sse = new()
        stream = await begun(sse)
        task = asyncio.ensure_future(stream.__anext__())
        await turn()
        first(write, sse, "1")
        with moment(lambda: call(write, sse, "2")):
            await turn()
            write(sse, "3")
            await turn()
        assert task.done()
        sent = [task.result()]
        call(write, sse, "4")
        while b"4" not in sent[-1]:
            sent.append(await asyncio.wait_for(stream.__anext__(), FOREVER))
        texts = sorted(data for _, data, _ in decode(b"".join(sent)).events)
        written = ["1", "3", "4"] if moment.left else ["1", "2", "3", "4"]
        assert texts == written
