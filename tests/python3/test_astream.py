"""astream(): the life of an asynchronous stream, in asyncio's loop and in uvloop's."""

import asyncio
import collections
import collections.abc
import functools
import gc
import inspect
import signal
import threading
import time
import warnings

import pytest

from loops import PYPY, begun, collect, ended, read, turn, waiting
from sse import Closed, Sse
from support import COMMENT, FOREVER, Threads

HEADER = b"event: e\ndata: "


def new():
    return Sse(default_retry=None)


def message(data):
    return HEADER + str(data).encode() + b"\n\n"


def in_thread(function, *args):
    """Call `function` in another thread, and wait for it."""
    threads = Threads()
    threads.start(function, *args)
    threads.join()


# -- Chunks ------------------------------------------------------------------------------


async def test_without_keepalive_there_is_no_comment():
    """Frameworks send the headers by themselves."""
    sse = new()
    task = await waiting(sse.astream(keepalive=None))
    sse.add_message("a", "1")
    assert await task == b"event: a\ndata: 1\n\n"
    assert await Sse().astream(keepalive=None).__anext__() == b"retry: 2000\n\n"


async def test_it_gives_bytes_to_an_async_for():
    sse = new()
    chunks = []
    async for chunk in sse.astream(FOREVER):
        assert type(chunk) is bytes
        chunks.append(chunk)
        if len(chunks) == 3:
            sse.close()
        else:
            sse.add_message("e", len(chunks) * "x")
    assert chunks == [COMMENT, message("x"), message("xx")]


ADDS = [
    (lambda sse: sse.set_retry(5), b"retry: 5\n\n"),
    (lambda sse: sse.add_message("e", "x"), message("x")),
    (lambda sse: sse.add_comment("x"), b": x\n"),
    (lambda sse: sse.add_json("e", [1]), message("[1]")),
    (lambda sse: sse.add_event_e("x", event_id=1), b"event: e\ndata: x\nid: 1\n\n"),
]


@pytest.mark.parametrize("call", [lambda add, sse: add(sse), in_thread], ids=["loop", "thread"])
@pytest.mark.parametrize("add, chunk", ADDS)
async def test_all_that_adds_wakes_the_stream(add, chunk, call):
    sse = new()
    task = await waiting(await begun(sse))
    call(add, sse)
    assert await task == chunk


async def test_all_adds_of_one_turn_of_the_loop_are_one_chunk():
    sse = new()
    task = await waiting(await begun(sse))
    for number in range(10):
        sse.add_message("e", "%d" % number)
    assert await task == b"".join(map(message, range(10)))


async def test_a_chunk_is_about_64_kib_of_whole_blocks():
    sse = new()
    block = message("x" * 1000)
    for _ in range(200):
        sse.add_message("e", "x" * 1000)
    sse.add_message("e", "y" * 200000)
    sse.set_event_id("7")
    sse.close()
    chunks = [chunk async for chunk in sse.astream()]
    full = -(-65536 // len(block))
    assert chunks == [full * block] * 3 + [(200 - 3 * full) * block + message("y" * 200000),
                                           b"id: 7\n\n"]


# -- The pending id ----------------------------------------------------------------------


async def test_a_pending_id_wakes_nobody():
    sse = new()
    stream = await begun(sse)
    task = await waiting(stream)
    sse.set_event_id("7")
    in_thread(sse.set_event_id, "8")
    await turn()
    assert not task.done()
    sse.add_message("e", "x")
    assert await task == b"event: e\ndata: x\nid: 8\n\n"
    sse.set_event_id("9")
    sse.add_comment()
    assert await stream.__anext__() == b": \nid: 9\n\n"


# -- The end -----------------------------------------------------------------------------


@pytest.mark.parametrize("call", [lambda close: close(), in_thread], ids=["loop", "thread"])
async def test_close_ends_a_stream_that_waits(call):
    sse = new()
    stream = await begun(sse)
    task = await waiting(stream)
    call(sse.close)
    with pytest.raises(StopAsyncIteration):
        await task
    assert await ended(stream) and await ended(stream)


async def test_what_is_added_just_before_close_is_sent_to_who_waits():
    sse = new()
    stream = await begun(sse)
    task = await waiting(stream)
    in_thread(lambda: (sse.add_message("e", "x"), sse.close()))
    assert await task == message("x")
    assert await ended(stream)


async def test_closed_between_the_call_and_the_first_chunk():
    sse = new()
    stream = sse.astream()
    sse.close()
    assert [chunk async for chunk in stream] == [COMMENT]


STREAMS = [Sse.stream, Sse.astream]


@pytest.mark.parametrize("first", STREAMS)
@pytest.mark.parametrize("second", STREAMS)
async def test_one_stream_at_a_time_of_either_kind(first, second):
    sse = Sse()
    stream = first(sse)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="stream already"):
            second(sse)
    with pytest.raises(RuntimeError):
        sse({"REQUEST_METHOD": "GET"}, None)
    assert not sse.closed
    stream.close()
    assert sse.closed
    last = second(sse)
    if second is Sse.stream:
        assert list(last) == [b"retry: 2000\n\n"]
    else:
        assert [chunk async for chunk in last] == [b"retry: 2000\n\n"]


async def test_another_stream_after_a_natural_end():
    sse = new()
    sse.close()
    stream = sse.astream()
    assert [chunk async for chunk in stream] == [COMMENT]
    assert list(sse.stream()) == [COMMENT]


# -- The client disconnects --------------------------------------------------------------

CLOSES = ["aclose", "close"]


@pytest.mark.parametrize("close", CLOSES)
@pytest.mark.parametrize("chunks", [0, 1, 2])
async def test_closing_the_iterator_closes(close, chunks):
    sse = new()
    stream = sse.astream(0.001)
    for _ in range(chunks):
        assert await stream.__anext__() == COMMENT
    sse.add_message("e", "x")
    assert not sse.closed
    assert await getattr(stream, close)() is None
    assert sse.closed
    with pytest.raises(Closed):
        sse.add_message("e", "y")
    assert await ended(stream)
    assert sse.data_to_send() == message("x")
    assert await getattr(stream, close)() is None


@pytest.mark.parametrize("close", CLOSES)
@pytest.mark.parametrize("call", [lambda close: close(), in_thread], ids=["loop", "thread"])
async def test_closing_the_iterator_need_not_be_awaited_and_wakes_who_waits(close, call):
    sse = new()
    stream = await begun(sse)
    task = await waiting(stream)
    call(getattr(stream, close))
    assert sse.closed
    with pytest.raises(StopAsyncIteration):
        await task


@pytest.mark.parametrize("close", CLOSES)
def test_closing_the_iterator_without_a_loop(close, loop):
    sse = new()
    getattr(sse.astream(), close)()
    assert sse.closed
    sse = new()
    stream = loop.run_until_complete(begun(sse))
    getattr(stream, close)()
    assert sse.closed
    sse = new()
    stream = loop.run_until_complete(begun(sse))
    loop.close()
    getattr(stream, close)()
    assert sse.closed


async def test_a_cancelled_wait_closes_at_once():
    sse = new()
    stream = await begun(sse)
    seen = []

    async def handler():
        try:
            await stream.__anext__()
        except asyncio.CancelledError:
            seen.append(sse.closed)
            raise

    task = asyncio.ensure_future(handler())
    await turn()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == [True]
    assert await ended(stream)


async def test_cancelled_after_the_message_came_and_before_the_task_ran():
    sse = new()
    stream = await begun(sse)
    task = await waiting(stream)
    sse.add_message("e", "x")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sse.closed
    assert sse.data_to_send() == message("x")


async def test_a_coroutine_that_is_closed_while_it_waits():
    sse = new()
    stream = await begun(sse)

    async def handler():
        await stream.__anext__()

    coroutine = handler()
    coroutine.send(None)
    coroutine.close()
    assert sse.closed


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


async def test_a_loop_that_cannot_be_called_is_the_writers_error(loop):
    """Near the recursion limit, say: only a closed loop is nothing to the writer."""
    sse = new()
    stream = await begun(sse)
    waker = stream._waker

    class Loop:
        def __getattr__(self, name):
            return getattr(loop, name)

        def call_soon_threadsafe(self, *args):
            raise RecursionError

    def add():
        with pytest.raises(RecursionError):
            sse.add_message("e", "1")

    waker.loop = Loop()
    in_thread(add)
    waker.loop = loop
    assert not sse.closed
    in_thread(sse.add_message, "e", "2")
    assert await stream.__anext__() == message(1) + message(2)


@pytest.mark.parametrize("timeout", [0, 0.001])
async def test_a_wait_for_that_times_out_ends_the_stream(timeout):
    sse = new()
    stream = await begun(sse)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(stream.__anext__(), timeout)
    await turn()    # before Python 3.7 wait_for itself does not wait for the task it cancels
    assert sse.closed
    assert await ended(stream)


async def test_a_wait_for_that_does_not_time_out_changes_nothing():
    """Before Python 3.12 each is a task of its own, whose end says nothing of the client."""
    sse = new()
    stream = await begun(sse)
    for number in range(20):
        sse.add_message("e", "%d" % number)
        assert await asyncio.wait_for(stream.__anext__(), FOREVER) == message(number)
        gc.collect(0)
    assert not sse.closed


async def has_waited(sse, keepalive):
    """A stream of `sse` that has waited, so that the loop has its timer."""
    stream = await begun(sse, keepalive)
    task = await waiting(stream)
    sse.add_message("e", "x")
    assert await task == message("x")
    return stream


@pytest.mark.parametrize("keepalive", [None, 15])
@pytest.mark.parametrize("make", [
    lambda loop, sse, keepalive: sse.astream(keepalive),
    lambda loop, sse, keepalive: loop.run_until_complete(has_waited(sse, keepalive)),
], ids=["fresh", "has waited"])
@pytest.mark.parametrize("way", ["here", "by a thread", "in a cycle", "in a closed loop"])
def test_an_iterator_that_is_dropped_closes(way, make, keepalive, loop):
    sse = new()
    holder = [make(loop, sse, keepalive)]
    loop.run_until_complete(turn())
    collect()
    assert not sse.closed
    if way == "in a closed loop":
        loop.close()
    elif way == "in a cycle":
        holder.append(holder)
    (in_thread if way == "by a thread" else functools.partial)(holder.clear)
    if way == "in a cycle":
        del holder
    else:
        holder.clear()
    # Without a cycle CPython needs no garbage collection.
    if way == "in a cycle" or PYPY:
        collect()
    assert sse.closed


async def test_an_iterator_that_is_awaited_is_not_dropped():
    sse = new()

    async def handler():
        return await (await begun(sse)).__anext__()

    task = asyncio.ensure_future(handler())
    await turn()
    collect()
    assert not sse.closed
    sse.add_message("e", "x")
    assert await task == message("x")


async def test_a_handler_that_ends_drops_its_iterator():
    sse = new()

    async def handler():
        async for chunk in sse.astream():
            if chunk == message("x"):
                break

    task = asyncio.ensure_future(handler())
    await turn()
    sse.add_message("e", "x")
    await task
    if PYPY:
        collect()
    assert sse.closed


# -- Who may await -----------------------------------------------------------------------


async def test_a_second_task_that_awaits_is_refused():
    sse = new()
    stream = await begun(sse)
    task = await waiting(stream)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="another task"):
            await stream.__anext__()
    assert not sse.closed
    sse.add_message("e", "x")
    assert await task == message("x")
    sse.add_message("e", "y")
    assert await stream.__anext__() == message("y")


async def test_a_second_task_that_is_cancelled_before_it_began_ends_both():
    """And the first must not hang."""
    sse = new()
    stream = await begun(sse)
    task = await waiting(stream)
    second = asyncio.ensure_future(stream.__anext__())
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert sse.closed
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(task, FOREVER)


async def test_a_second_task_that_awaits_just_when_the_first_was_woken():
    sse = new()
    stream = await begun(sse)
    task = await waiting(stream)
    sse.add_message("e", "x")
    with pytest.raises(RuntimeError, match="another task"):
        stream.__anext__().send(None)
    assert await task == message("x")


async def test_a_chunk_that_is_awaited_again_is_the_next_one():
    sse = new()
    chunk = (await begun(sse)).__anext__()
    for number in range(3):
        sse.add_message("e", "%d" % number)
        assert await chunk == message(number)


async def test_two_tasks_that_await_the_same_chunk():
    sse = new()
    stream = await begun(sse)
    chunk = stream.__anext__()

    async def wait():
        return await chunk

    tasks = [asyncio.ensure_future(wait()) for _ in range(2)]
    await turn()
    with pytest.raises(RuntimeError, match="another task"):
        await tasks[1]
    sse.add_message("e", "x")
    assert await tasks[0] == message("x")


def test_it_belongs_to_the_loop_in_which_it_is_first_awaited(loop, new_loop):
    sse = new()
    other = new_loop()
    stream = other.run_until_complete(astream_of(sse))
    other.close()
    assert loop.run_until_complete(anext_of(stream)) == COMMENT
    other = new_loop()
    with pytest.raises(RuntimeError, match="loop"):
        other.run_until_complete(anext_of(stream))
    other.close()
    sse.add_message("e", "x")
    assert loop.run_until_complete(anext_of(stream)) == message("x")
    assert not sse.closed


async def astream_of(sse):
    return sse.astream()


async def anext_of(stream):
    return await stream.__anext__()


@pytest.mark.parametrize("end", [None, "aclose"])
def test_without_a_loop(end):
    sse = new()
    stream = sse.astream()
    if end:
        stream.aclose()
    with pytest.raises(RuntimeError, match="loop"):
        stream.__anext__().send(None)
    assert sse.closed == bool(end)


def test_called_outside_of_a_loop(loop):
    sse = Sse()
    stream = sse.astream()
    sse.add_message("e", "x")
    assert loop.run_until_complete(anext_of(stream)) == b"retry: 2000\n\n" + message("x")


def test_it_is_neither_synchronous_nor_a_coroutine():
    stream = new().astream()
    assert not hasattr(stream, "__iter__") and not hasattr(stream, "__next__")
    with pytest.raises(TypeError):
        iter(stream)
    assert isinstance(stream, collections.abc.AsyncIterator)
    assert stream.__aiter__() is stream
    assert not isinstance(stream, (collections.abc.Iterable, collections.abc.Awaitable))
    assert not asyncio.iscoroutine(stream) and not inspect.isawaitable(stream)
    assert not inspect.isasyncgen(stream)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")     # deprecated, and what frameworks ask
        assert not asyncio.iscoroutinefunction(new().astream)


TASKS = [
    asyncio.ensure_future,
    lambda chunk: asyncio.get_event_loop().create_task(chunk),
    lambda chunk: asyncio.wait_for(chunk, FOREVER),
    lambda chunk: asyncio.shield(chunk),
]


@pytest.mark.parametrize("task_of", TASKS, ids=["ensure_future", "create_task", "wait_for",
                                                "shield"])
async def test_a_chunk_may_be_awaited_by_a_task_of_its_own(task_of):
    sse = new()
    stream = await begun(sse)
    task = asyncio.ensure_future(task_of(stream.__anext__()))
    await turn()
    sse.add_message("e", "x")
    assert await task == message("x")
    done, _ = await asyncio.wait([asyncio.ensure_future(stream.__anext__())], timeout=0.001)
    assert not done and not sse.closed


# -- Who may add -------------------------------------------------------------------------


@pytest.fixture
def interrupt():
    """Run a function as a signal handler of the main thread, wherever that is, also if it waits."""
    main = threading.get_ident()
    functions = []
    ran = threading.Event()

    def handler(number, frame):
        functions.pop()()
        ran.set()

    def interrupt(function):
        functions.append(function)
        ran.clear()
        signal.pthread_kill(main, signal.SIGUSR1)
        assert ran.wait(FOREVER)

    before = signal.signal(signal.SIGUSR1, handler)
    yield interrupt
    signal.signal(signal.SIGUSR1, before)


async def test_close_in_a_signal_handler_wakes_the_loop(interrupt):
    sse = new()
    stream = await begun(sse)
    threads = Threads()
    asyncio.get_event_loop().call_soon(threads.start, interrupt, sse.close)
    assert await ended(stream)
    threads.join()


async def test_an_add_in_a_signal_handler_silences_no_later_ones(interrupt):
    sse = new()
    stream = await begun(sse)
    threads = Threads()

    def add():
        for number in range(10):
            interrupt(lambda: sse.add_message("e", "interrupt"))
            sse.add_message("e", "%d" % number)

    asyncio.get_event_loop().call_soon(threads.start, add)
    received = b""
    while message(9) not in received:
        received += await stream.__anext__()
    threads.join()
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


def test_adds_while_the_loop_is_not_run(loop):
    sse = new()
    stream = loop.run_until_complete(begun(sse))
    task = loop.create_task(anext_of(stream))
    loop.run_until_complete(turn())
    sse.add_message("e", "x")
    in_thread(sse.add_message, "e", "y")
    assert loop.run_until_complete(task) == message("x") + message("y")


# -- A loop that is closed ---------------------------------------------------------------


@pytest.mark.parametrize("queued", [False, True])
@pytest.mark.parametrize("call", [lambda add: add(), in_thread], ids=["here", "thread"])
def test_a_loop_that_is_found_closed_ends_the_sse(call, queued, loop):
    """Also if the loop was closed with a call in its queue, which it then never makes."""
    sse = new()
    stream = loop.run_until_complete(begun(sse))
    if queued:
        call(lambda: sse.add_message("e", "x"))
    loop.close()
    if not queued:
        assert not sse.closed
    call(lambda: sse.add_message("e", "x"))
    assert sse.closed
    with pytest.raises(Closed):
        sse.add_message("e", "y")
    del stream


def test_close_finds_the_loop_closed(loop):
    sse = new()
    stream = loop.run_until_complete(begun(sse))
    loop.close()
    sse.close()
    assert sse.closed
    del stream


def test_a_loop_that_is_closed_while_writers_add(loop):
    sse = new()
    stream = loop.run_until_complete(begun(sse))
    threads = Threads()
    adding = threading.Semaphore(0)

    def add():
        try:
            while True:
                sse.add_message("e", "x")
                adding.release()
        except Closed:
            pass

    for _ in range(3):
        threads.start(add)
    for _ in range(30):
        assert adding.acquire(timeout=FOREVER)
    loop.run_until_complete(anext_of(stream))
    loop.close()
    threads.join()
    assert sse.closed


# -- What it costs -----------------------------------------------------------------------


@pytest.mark.parametrize("keepalive", [None, 15])
async def test_idle_streams_cost_no_cpu(keepalive):
    streams = [await begun(new(), keepalive) for _ in range(100)]
    tasks = [asyncio.ensure_future(stream.__anext__()) for stream in streams]
    await turn()
    before = time.process_time()
    await asyncio.sleep(1)
    assert time.process_time() - before < 0.05
    assert not any(task.done() for task in tasks)


# -- Storm -------------------------------------------------------------------------------

WRITERS = 4
EVENTS = 3000


@pytest.mark.parametrize("max_pending", [None, 10 ** 9])
async def test_four_threads_add_while_a_task_reads(max_pending, tiny_switch_interval):
    """Each block once, whole, in its writer's order."""
    sse = Sse(None, max_pending)
    threads = Threads()

    def write(writer):
        for number in range(EVENTS):
            sse.add_message("w%d" % writer, "first\n%d" % number, event_id=number)

    writers = [threads.start(write, writer) for writer in range(WRITERS)]

    def close_after():
        for writer in writers:
            writer.join(FOREVER)
        sse.close()

    threads.start(close_after)
    blocks = (await read(sse.astream(FOREVER))).split(b"\n\n")
    threads.join()
    assert blocks.pop() == b""
    of_writer = collections.defaultdict(list)
    for block in blocks:
        of_writer[block.split(b"\n")[0]].append(block)
    assert dict(of_writer) == {
        b"event: w%d" % writer: [
            b"event: w%d\ndata: first\ndata: %d\nid: %d" % (writer, number, number)
            for number in range(EVENTS)]
        for writer in range(WRITERS)}
    assert not sse.data_to_send()
