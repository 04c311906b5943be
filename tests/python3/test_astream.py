"""astream(): the life of an asynchronous stream, in asyncio's loop and in uvloop's."""

import asyncio
import collections.abc
import inspect
import random
import signal
import threading
import time
import warnings

import pytest

from loops import (
    HERE_OR_THREAD, PYPY, begun, collect, ended, in_thread, message, new, next_of, one_that_waits,
    read, turn, waiting)
from spec_decoder import decode
from sse import Channel, Closed, Sse
from support import COMMENT, FOREVER, Threads

# -- Its chunks, beside what test_astream_alike.py checks --------------------------------


async def test_without_keepalive_there_is_no_comment():
    """Frameworks send the headers by themselves."""
    sse = new()
    task = await waiting(sse.astream(keepalive=None))
    sse.add_message("e", "1")
    assert await task == message(1)
    assert await Sse().astream(keepalive=None).__anext__() == b"retry: 2000\n\n"


@HERE_OR_THREAD
async def test_close_ends_a_stream_that_waits(call):
    sse, stream, task = await one_that_waits()
    call(sse.close)
    with pytest.raises(StopAsyncIteration):
        await task
    assert await ended(stream) and await ended(stream)


def test_all_between_the_call_and_the_first_chunk(loop):
    """The call needs no loop."""
    sse = Sse()
    stream = sse.astream()
    sse.add_message("e", "x")
    sse.close()
    assert loop.run_until_complete(read(stream)) == b"retry: 2000\n\n" + message("x")


@pytest.mark.parametrize("first, second", [
    (Sse.stream, Sse.astream), (Sse.astream, Sse.stream)], ids=["stream first", "astream first"])
def test_one_stream_at_a_time_of_either_kind(first, second):
    sse = Sse()
    stream = first(sse)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="stream already"):
            second(sse)
    assert not sse.closed
    stream.close()
    second(sse)


# -- The client disconnects --------------------------------------------------------------

CLOSES = pytest.mark.parametrize("close", ["aclose", "close"])


@CLOSES
async def test_closing_the_iterator_may_be_awaited(close):
    sse = new()
    stream = await begun(sse)
    sse.add_message("e", "x")
    assert await getattr(stream, close)() is None
    assert sse.closed
    assert await ended(stream)
    assert sse.data_to_send() == message("x")
    assert await getattr(stream, close)() is None


@CLOSES
@HERE_OR_THREAD
async def test_closing_the_iterator_wakes_who_waits(call, close):
    sse, stream, task = await one_that_waits()
    call(getattr(stream, close))
    assert sse.closed
    with pytest.raises(StopAsyncIteration):
        await task


async def test_cancelled_after_the_message_came_and_before_the_task_ran():
    sse, stream, task = await one_that_waits()
    sse.add_message("e", "x")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sse.closed
    assert await ended(stream)
    assert sse.data_to_send() == message("x")


async def test_a_coroutine_that_is_closed_while_it_waits():
    sse = new()
    stream = await begun(sse)
    coroutine = next_of(stream)
    coroutine.send(None)
    coroutine.close()
    assert sse.closed
    del stream


@pytest.mark.parametrize("thrown", [
    (KeyError,), (KeyError("x"),), (KeyError, KeyError("x"), None)])     # the last up to 3.11
async def test_what_is_thrown_into_a_wait_is_raised_there(thrown):
    sse = new()
    chunk = (await begun(sse)).__anext__()
    chunk.send(None)
    with pytest.raises(KeyError) as caught:
        chunk.throw(*thrown)
    assert thrown == (KeyError,) or caught.value in thrown
    assert sse.closed


@pytest.mark.parametrize("timeout", [0, 0.001])
async def test_a_wait_for_that_times_out_ends_the_stream(timeout):
    sse = new()
    stream = await begun(sse)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(stream.__anext__(), timeout)
    await turn()    # before Python 3.7 wait_for itself does not wait for the task it cancels
    assert sse.closed
    assert await ended(stream)


async def made(sse, state):
    stream = sse.astream()
    if state == "has waited":       # the loop has its timer
        await stream.__anext__()
        task = await waiting(stream)
        sse.add_message("e", "x")
        await task
    return stream


@pytest.mark.parametrize("state", ["fresh", "has waited"])
@pytest.mark.parametrize("way", ["here", "by a thread", "in a cycle", "in a closed loop"])
def test_an_iterator_that_is_dropped_closes(way, state, loop):
    sse = new()
    holder = [loop.run_until_complete(made(sse, state))]
    collect()
    assert not sse.closed
    if way == "by a thread":
        in_thread(holder.clear)
    elif way == "in a cycle":
        holder.append(holder)
        del holder
    else:
        if way == "in a closed loop":
            loop.close()
        holder.clear()
    # Without a cycle CPython needs no garbage collection.
    if way == "in a cycle" or PYPY:
        collect()
    assert sse.closed


async def test_an_iterator_that_is_awaited_is_not_dropped():
    sse = new()
    task = asyncio.ensure_future(next_of(await begun(sse)))
    await turn()
    collect()
    assert not sse.closed
    sse.add_message("e", "x")
    assert await task == message("x")


# -- Who may await -----------------------------------------------------------------------


async def test_a_second_task_that_awaits_is_refused():
    sse, stream, task = await one_that_waits()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="another task"):
            await stream.__anext__()
    assert not sse.closed
    sse.add_message("e", "x")
    # The first is woken, and has not run yet.
    with pytest.raises(RuntimeError, match="another task"):
        await stream.__anext__()
    assert await task == message("x")
    sse.add_message("e", "y")
    assert await stream.__anext__() == message("y")


async def test_a_second_task_that_is_cancelled_before_it_began_ends_both():
    """And the first must not hang."""
    sse, stream, task = await one_that_waits()
    second = asyncio.ensure_future(stream.__anext__())
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert sse.closed
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(task, FOREVER)


async def test_two_tasks_that_await_the_same_chunk():
    sse = new()
    chunk = (await begun(sse)).__anext__()

    async def wait():
        return await chunk

    task = asyncio.ensure_future(wait())
    await turn()
    with pytest.raises(RuntimeError, match="another task"):
        await wait()
    sse.add_message("e", "x")
    assert await task == message("x")


def test_it_belongs_to_the_loop_in_which_it_is_first_awaited(loop, new_loop):
    sse = new()
    stream = sse.astream()
    assert loop.run_until_complete(next_of(stream)) == COMMENT
    other = new_loop()
    with pytest.raises(RuntimeError, match="loop"):
        other.run_until_complete(next_of(stream))
    other.close()
    sse.add_message("e", "x")
    assert loop.run_until_complete(next_of(stream)) == message("x")
    assert not sse.closed


@pytest.mark.parametrize("closed", [False, True])
def test_without_a_loop(closed):
    sse = new()
    stream = sse.astream()
    if closed:
        stream.aclose()
    with pytest.raises(RuntimeError, match="loop"):
        stream.__anext__().send(None)
    assert sse.closed == closed


def test_it_is_neither_synchronous_nor_a_coroutine():
    stream = new().astream()
    assert isinstance(stream, collections.abc.AsyncIterator)
    assert not isinstance(stream, (collections.abc.Iterable, collections.abc.Awaitable))
    assert not hasattr(stream, "__next__") and not inspect.isasyncgen(stream)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")     # deprecated, and what frameworks ask
        assert not asyncio.iscoroutinefunction(new().astream)


# -- Who may add -------------------------------------------------------------------------


async def test_signal_handlers_that_add_and_close():
    """They silence no later adds, and wake the loop."""
    sse = new()
    stream = await begun(sse)
    main = threading.get_ident()
    handled = threading.Event()
    calls = [sse.close] + 10 * [lambda: sse.add_message("e", "interrupt")]

    def handler(number, frame):
        calls.pop()()
        handled.set()

    def add():
        for number in range(10):
            interrupt()
            sse.add_message("e", "%d" % number)
        interrupt()

    def interrupt():
        handled.clear()
        signal.pthread_kill(main, signal.SIGUSR1)
        assert handled.wait(FOREVER)

    threads = Threads()
    asyncio.get_event_loop().call_soon(threads.start, add)
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        received = await read(stream)
        threads.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert received == b"".join(message("interrupt") + message(number) for number in range(10))


def test_a_loop_that_is_run_again_in_another_thread(loop):
    """The number of the thread that ran it first is that of a writer now."""
    sse = new()
    stream = loop.run_until_complete(begun(sse))
    waits = threading.Event()

    async def two_chunks():
        loop.call_soon(waits.set)
        first = await stream.__anext__()
        sse.add_message("e", "loop")
        return first + await stream.__anext__()

    received = []
    threads = Threads()
    threads.start(lambda: received.append(loop.run_until_complete(two_chunks())))
    assert waits.wait(FOREVER)
    sse.add_message("e", "thread")
    threads.join()
    assert received == [message("thread") + message("loop")]


# -- A loop that is closed ---------------------------------------------------------------


@pytest.mark.parametrize("queued", [False, True])
@HERE_OR_THREAD
def test_a_loop_that_is_found_closed_ends_the_sse(call, queued, loop):
    """Also if the loop was closed with a call in its queue, which it then never makes."""
    sse = new()
    stream = loop.run_until_complete(begun(sse))
    if queued:
        call(sse.add_message, "e", "x")
    loop.close()
    assert not sse.closed
    call(sse.add_message, "e", "x")
    assert sse.closed
    with pytest.raises(Closed):
        sse.add_message("e", "y")
    del stream


def test_a_loop_that_is_closed_while_writers_add(loop):
    sse = new()
    stream = loop.run_until_complete(begun(sse))
    threads = Threads()

    def add():
        with pytest.raises(Closed):
            while True:
                sse.add_message("e", "x")

    for _ in range(3):
        threads.start(add)
    for _ in range(10):
        loop.run_until_complete(next_of(stream))
    loop.close()
    threads.join()
    assert sse.closed


# -- What it costs -----------------------------------------------------------------------


async def test_idle_streams_cost_no_cpu():
    tasks = [(await one_that_waits())[2] for _ in range(100)]
    before = time.process_time()
    await asyncio.sleep(1)
    assert time.process_time() - before < 0.05
    assert not any(task.done() for task in tasks)


# -- Storms ------------------------------------------------------------------------------


@pytest.mark.parametrize("max_pending", [None, 10 ** 9])
async def test_four_threads_add_while_a_task_reads(max_pending, tiny_switch_interval):
    """Each event once, whole, in its writer's order."""
    sse = Sse(None, max_pending)
    threads = Threads()

    def write(writer):
        for number in range(3000):
            sse.add_message(writer, "first\n%d" % number, event_id=number)

    writers = [threads.start(write, writer) for writer in "abcd"]

    def close_after():
        for writer in writers:
            writer.join(FOREVER)
        sse.close()

    threads.start(close_after)
    events = decode(await read(sse.astream(FOREVER))).events
    threads.join()
    assert len(events) == 4 * 3000
    for writer in "abcd":
        assert [event for event in events if event[0] == writer] == [
            (writer, "first\n%d" % number, "%d" % number) for number in range(3000)]
    assert not sse.data_to_send()


EVENTS = 500


async def test_clients_that_break_off_and_resume_have_every_event_once(tiny_switch_interval):
    """Two threads publish; each client breaks off in any of four ways, and reconnects."""
    channel = Channel(history=2 * EVENTS, default_retry=None)
    start = channel.newest_id

    def publish(name):
        for number in range(EVENTS):
            channel.add_message("e", "%s %d" % (name, number))

    async def client(seed):
        chance = random.Random(seed)
        last_id = start
        received = []
        while len(received) < 2 * EVENTS:
            stream = channel.open(last_id).astream(FOREVER)
            chunks = chance.randint(0, 5)
            while chunks and len(received) < 2 * EVENTS:
                chunks -= 1
                chunk = await asyncio.wait_for(stream.__anext__(), FOREVER)
                for _, data, last_id in decode(chunk).events:
                    received.append(data)
            way = chance.choice(["drop", "aclose", "thread", "cancel"])
            if way == "aclose":
                await stream.aclose()
            elif way == "thread":
                threads.start(stream.aclose)
            elif way == "cancel":
                task = asyncio.ensure_future(stream.__anext__())
                await turn(1)
                task.cancel()
                await asyncio.wait([task])
                task.cancelled() or task.exception()
            del stream
        return received

    threads = Threads()
    for name in "ab":
        threads.start(publish, name)
    received = await asyncio.gather(*[client(seed) for seed in range(6)])
    threads.join()
    assert all(one == received[0] for one in received)
    for name in "ab":
        assert [data for data in received[0] if data[0] == name] == [
            "%s %d" % (name, number) for number in range(EVENTS)]
    collect()
    await turn()
    assert channel.streams == []
