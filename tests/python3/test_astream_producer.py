"""astream(producer=...): an answer that is streamed while it is made; and drain()."""

import asyncio
import functools
import sys
import threading
import time
import traceback
import weakref

import pytest

from loops import (
    begun, collect, current_task, ended, in_thread, message, new, next_of, one_that_waits, read,
    turn)
from sse import Closed, Sse
from support import COMMENT, FOREVER

try:
    import contextvars
except ImportError:     # Python 3.6
    contextvars = None


async def raised_by(stream, error):
    """The chunks of `stream` and the `error` that ends it."""
    chunks = []
    with pytest.raises(error) as caught:
        async for chunk in stream:
            chunks.append(chunk)
    assert type(caught.value) is error
    assert await ended(stream)
    return b"".join(chunks).replace(COMMENT, b""), caught.value


# -- It returns --------------------------------------------------------------------------


async def test_each_chunk_comes_while_it_is_made_and_its_return_closes_the_sse():
    sse = new()
    go = asyncio.Event()

    async def produce(given):
        assert given is sse
        for number in range(10):
            sse.add_message("e", "%d" % number)
            await go.wait()
            go.clear()

    stream = await begun(sse, producer=produce)
    for number in range(10):
        assert await stream.__anext__() == message(number)
        assert not sse.closed
        go.set()
    assert await ended(stream)
    assert sse.closed


async def test_it_runs_from_the_first_chunk_on():
    began = []

    async def produce(sse):
        began.append(sse)

    sse = new()
    stream = sse.astream(producer=produce)
    await turn()
    assert not began
    assert [chunk async for chunk in stream] == [COMMENT]
    assert began == [sse]


async def nothing(sse):
    pass


class Awaitable(object):
    def __await__(self):
        return iter(())


@pytest.mark.parametrize("producer", [
    nothing, pytest.param(functools.partial(nothing), marks=pytest.mark.native),
    pytest.param(lambda sse: nothing(sse), marks=pytest.mark.native),
    pytest.param(lambda sse: Awaitable(), marks=pytest.mark.native),
], ids=["function", "partial", "lambda", "another awaitable"])
async def test_what_is_an_async_function(producer):
    assert [chunk async for chunk in new().astream(FOREVER, producer)] == [COMMENT]


async def test_it_may_close_the_sse_itself():
    async def produce(sse):
        sse.add_message("e", "x")
        sse.close()
        sse.add_message("e", "y")

    assert await read(new().astream(FOREVER, produce)) == message("x")


# -- It raises ---------------------------------------------------------------------------


class Odd(StopAsyncIteration):
    pass


@pytest.mark.parametrize("error, raised", [
    (KeyError, KeyError),
    # These would look like an end.
    (StopIteration, RuntimeError), (StopAsyncIteration, RuntimeError), (Odd, RuntimeError),
    (asyncio.CancelledError, RuntimeError),
    # Before Python 3.8 a task lets it through, to the loop.
] + [(GeneratorExit, RuntimeError)] * (sys.version_info >= (3, 8)))
async def test_what_it_raises_is_raised_after_what_was_added(error, raised):
    async def produce(sse):
        sse.add_message("e", "x")
        await turn()
        sse.add_message("e", "y")
        raise error("x")

    sse = new()
    chunks, failure = await raised_by(sse.astream(FOREVER, produce), raised)
    assert chunks == message("x") + message("y")
    assert sse.closed
    if raised is KeyError:
        assert traceback.extract_tb(failure.__traceback__)[-1].name == "produce"
    else:
        assert type(failure.__cause__) is error
        assert error is StopIteration or "producer" in str(failure)


# -- The client disconnects --------------------------------------------------------------


def by_aclose(sse, stream, task):
    stream.aclose()


def by_a_thread(sse, stream, task):
    in_thread(stream.close)


def by_a_cancel(sse, stream, task):
    task.cancel()


def by_a_drop(sse, stream, task):
    """Of the iterator, in a cycle, once its task has read this."""
    sse.add_message("e", "x")
    cycle = [stream]
    cycle.append(cycle)


@pytest.mark.parametrize("disconnect", [by_aclose, by_a_thread, by_a_cancel, by_a_drop])
async def test_it_is_cancelled_once_when_the_client_disconnects(disconnect):
    events = []

    async def produce(sse):
        events.append("began")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            events.append("cancelled, closed: %s" % sse.closed)
            raise
        finally:
            await turn(5)
            events.append("clean")

    sse, stream, task = await one_that_waits(producer=produce)
    assert events == ["began"]
    disconnect(sse, stream, task)
    await asyncio.wait([task])
    task.cancelled() or task.exception()
    if disconnect is not by_a_drop:
        # A consumer that asks once more, and again, cancels nothing again.
        assert await ended(stream) and await ended(stream)
    del stream, task
    collect()
    await turn(20)
    assert sse.closed
    assert events == ["began", "cancelled, closed: True", "clean"]


@pytest.mark.parametrize("end, first", [("close", "end"), ("aclose", "end"), ("aclose", "failure")])
async def test_a_failure_that_nobody_reads_reaches_the_exception_handler(end, first, reports):
    failure = KeyError("x")
    go = asyncio.Event()

    async def produce(sse):
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                pass
        raise failure

    sse = new()
    stream = await begun(sse, producer=produce)
    await turn()
    if first == "failure":
        go.set()
        await turn()
    getattr(sse if end == "close" else stream, end)()
    assert await ended(stream) and await ended(stream)
    await turn()
    go.set()
    await turn()
    report = reports.pop()
    assert report["exception"] is failure
    assert "producer" in report["message"]


# -- Mistakes ----------------------------------------------------------------------------


async def test_not_callable():
    sse = new()
    with pytest.raises(TypeError, match="producer must be a function"):
        sse.astream(FOREVER, [])
    assert not sse.closed
    assert await sse.astream().__anext__() == COMMENT


async def async_generator(sse):
    yield b"x"


def generator(sse):
    yield b"x"


async def with_a_result(sse):
    return b""


async def without_a_parameter():
    pass


@pytest.mark.native
@pytest.mark.parametrize("producer, words", [
    (lambda sse: b"x", "must return None, not bytes"),
    (generator, "must return None, not generator"),
    (async_generator, "must return None, not async_generator"),
    (with_a_result, "must return None, not bytes"),
    (without_a_parameter, "argument"),
], ids=["result", "generator", "async generator", "async result", "no parameter"])
async def test_what_is_not_a_producer(producer, words):
    sse = new()
    chunks, error = await raised_by(sse.astream(None, producer), TypeError)
    assert chunks == b""
    assert words in str(error)
    assert sse.closed


# -- A plain function --------------------------------------------------------------------


@pytest.mark.native
async def test_a_plain_function_runs_in_a_daemon_thread_of_its_own():
    """As many as there are answers: these all wait for each other, and for the loop."""
    barrier = threading.Barrier(51)
    threads = set()

    def produce(sse):
        threads.add(threading.current_thread())
        sse.add_message("e", "x")
        barrier.wait(FOREVER)
        sse.add_message("e", "y")

    streams = [new().astream(None, produce) for _ in range(50)]
    assert [await stream.__anext__() for stream in streams] == [message("x")] * 50
    last = asyncio.get_event_loop().run_in_executor(None, barrier.wait, FOREVER)
    assert [await read(stream) for stream in streams] == [message("y")] * 50
    await last
    assert len(threads) == 50 and all(thread.daemon for thread in threads)


@pytest.mark.native
@pytest.mark.parametrize("error", [KeyError, StopIteration])
async def test_a_plain_function_that_raises(error):
    def produce(sse):
        sse.add_message("e", "x")
        time.sleep(0.05)        # the loop waits meanwhile
        raise error("x")

    sse = new()
    expected = error if error is KeyError else RuntimeError
    chunks, failure = await raised_by(sse.astream(FOREVER, produce), expected)
    assert chunks == message("x")
    assert sse.closed


class Late(object):
    """A plain function that does something once its client has disconnected."""

    def __init__(self, act):
        self.act = act
        self.disconnected = threading.Event()

    def __call__(self, sse):
        self.thread = threading.current_thread()
        sse.add_message("e", "x")
        self.disconnected.wait(FOREVER)
        return self.act(sse)

    def goes_on(self):
        self.disconnected.set()
        self.thread.join(FOREVER)


async def disconnected(producer):
    stream = new().astream(None, producer)
    assert await stream.__anext__() == message("x")
    await stream.aclose()
    producer.goes_on()
    await turn()
    assert await ended(stream)


@pytest.mark.native
async def test_a_plain_function_gets_closed_when_the_client_disconnects():
    closed = []

    def add(sse):
        try:
            sse.add_message("e", "y")
        except Closed:
            closed.append(sse)
            raise

    await disconnected(Late(add))
    assert closed


class Unread(Exception):
    """Nobody reads this."""


def fail(sse):
    raise Unread


@pytest.mark.native
async def test_what_a_plain_function_raises_after_the_end_reaches_the_exception_handler(reports):
    await disconnected(Late(fail))
    assert isinstance(reports.pop()["exception"], Unread)


@pytest.mark.native
async def test_a_coroutine_that_comes_after_the_client_disconnected_is_cancelled():
    events = []

    async def produce(sse):
        events.append("begun")

    await disconnected(Late(produce))
    assert not events


@pytest.mark.native
@pytest.mark.parametrize("act, prints", [
    (fail, [Unread]), (lambda sse: sse.add_message("e", "y"), [])], ids=["fails", "Closed"])
@pytest.mark.filterwarnings("default::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_plain_function_whose_loop_is_closed(loop, act, prints, monkeypatch):
    """threading prints what it raises; `Closed` ends it quietly."""
    printed = []
    monkeypatch.setattr(threading, "excepthook", lambda args: printed.append(args.exc_type),
                        raising=False)
    producer = Late(act)
    stream = new().astream(None, producer)
    assert loop.run_until_complete(next_of(stream)) == message("x")
    loop.close()
    stream.aclose()
    producer.goes_on()
    assert printed == prints or sys.version_info < (3, 8)


@pytest.mark.parametrize("end", ["closed", "close", "aclose"])
async def test_it_is_not_run_if_all_is_closed_already(end):
    """HEAD."""
    def produce(sse):
        raise AssertionError("it was run")

    sse = new()
    if end == "closed":
        sse.close()
    stream = sse.astream(FOREVER, produce)
    if end == "close":
        sse.close()
    elif end == "aclose":
        stream.aclose()
    assert await read(stream) == b""


# -- Its task ----------------------------------------------------------------------------

if contextvars:
    NAME = contextvars.ContextVar("NAME", default="nobody")

    @pytest.mark.parametrize("kind", [
        lambda produce: produce,
        pytest.param(lambda produce: lambda sse: produce(sse), marks=pytest.mark.native),
    ], ids=["async", "plain"])
    async def test_its_context_is_a_copy_of_the_callers(kind):
        seen = []

        async def produce(sse):
            seen.append(NAME.get())
            NAME.set("producer")
            await turn()
            seen.append(NAME.get())

        NAME.set("caller")
        stream = new().astream(FOREVER, kind(produce))
        NAME.set("reader")
        async for _ in stream:
            assert NAME.get() == "reader"
        assert seen == ["caller", "producer"]


async def test_it_goes_on_after_a_natural_end():
    """It is neither cancelled nor garbage, though it waits for what nobody else has."""
    futures = []
    events = []

    async def produce(sse):
        future = asyncio.get_event_loop().create_future()
        futures.append(weakref.ref(future))
        await future        # a loop keeps its tasks weakly
        events.append("saved")

    sse = new()
    stream = await begun(sse, producer=produce)
    await turn()
    sse.close()
    assert await ended(stream)
    await stream.aclose()
    del sse, stream
    collect()
    await turn()
    futures.pop()().set_result(None)
    await turn()
    assert events == ["saved"]


async def test_nothing_keeps_a_producer_that_is_done():
    class Kept(object):
        pass

    kept = Kept()
    references = [weakref.ref(kept)]

    async def produce(sse, kept=kept):
        references.append(weakref.ref(current_task()))

    sse = new()
    await read(sse.astream(FOREVER, produce))
    await turn()
    del produce, kept
    collect()
    assert [reference() for reference in references] == [None, None]


def test_nothing_keeps_a_producer_whose_loop_was_closed(loop, reports):
    tasks = []

    async def produce(sse):
        tasks.append(weakref.ref(current_task()))
        await asyncio.Event().wait()

    stream = loop.run_until_complete(begun(new(), producer=produce))
    loop.run_until_complete(turn())
    loop.close()
    stream.aclose()
    del stream
    collect()
    reports.clear()     # a task that was pending reports itself when it is destroyed
    collect()
    assert tasks[0]() is None


# -- drain -------------------------------------------------------------------------------

BIG = "x" * 10000


@pytest.mark.parametrize("max_pending", [None, 20000])
async def test_drain_waits_for_the_client(max_pending):
    sse = Sse(None, max_pending)
    sizes = []

    async def produce(sse):
        for number in range(100):
            sse.add_message("e", BIG)
            sizes.append(len(bytes(sse)))
            await sse.drain()

    stream = sse.astream(None, produce)
    sent = await stream.__anext__()
    await turn()
    assert not sse.closed
    sent += await read(stream)
    assert sent == message(BIG) * 100
    assert max(sizes) <= 16384 + len(message(BIG))


@pytest.mark.native
async def test_drain_in_the_thread_of_a_plain_function():
    def produce(sse):
        for number in range(100):
            sse.add_message("e", BIG)
            sse.drain()

    assert await read(new().astream(None, produce)) == message(BIG) * 100


async def full():
    """An `Sse` on which `drain` waits, a list of its stream, and a task that is in `drain`."""
    async def drain():
        await sse.drain()

    sse = new()
    streams = [await begun(sse)]
    sse.add_message("e", BIG * 2)
    task = asyncio.ensure_future(drain())
    await turn()
    assert not task.done()
    return sse, streams, task


@pytest.mark.parametrize("end", [
    lambda sse, streams: sse.close(),
    lambda sse, streams: in_thread(sse.close),
    lambda sse, streams: streams.clear(),
], ids=["close", "close in a thread", "drop"])
async def test_drain_raises_closed_once_nobody_reads(end):
    sse, streams, task = await full()
    end(sse, streams)
    collect()
    with pytest.raises(Closed):
        await task
    with pytest.raises(Closed):
        await sse.drain()


async def test_drain_may_be_cancelled():
    sse, streams, task = await full()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await streams[0].__anext__() == message(BIG * 2)
    await turn()
    await sse.drain()
    assert not sse.closed


async def test_drain_needs_a_stream():
    with pytest.raises(RuntimeError, match="needs an open stream"):
        await new().drain()


def test_close_after_the_loop_of_who_waits_was_closed(loop):
    sse, streams, task = loop.run_until_complete(full())
    task.cancel()
    loop.run_until_complete(turn())
    loop.close()
    sse.close()
    assert sse.closed
