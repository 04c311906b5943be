"""astream(producer=...): an answer that is streamed while it is made."""

import asyncio
import functools
import sys
import threading
import weakref

import pytest

from loops import begun, collect, ended, read, turn, waiting
from sse import Closed, Sse
from support import COMMENT, FOREVER, Threads

try:
    import contextvars
except ImportError:     # Python 3.6
    contextvars = None


def new():
    return Sse(default_retry=None)


def message(data):
    return b"event: e\ndata: " + str(data).encode() + b"\n\n"


async def nothing(sse):
    pass


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


async def test_the_sse_is_closed_when_it_returns():
    sse = new()

    async def produce(given):
        assert given is sse
        sse.add_message("e", "x")
        await turn()
        sse.add_message("e", "y")

    chunks = [chunk async for chunk in sse.astream(FOREVER, producer=produce)]
    assert chunks == [COMMENT, message("x"), message("y")]
    assert sse.closed


async def test_each_chunk_comes_while_it_is_made():
    sse = new()
    go = asyncio.Event()

    async def produce(sse):
        for number in range(10):
            sse.add_message("e", "%d" % number)
            await go.wait()
            go.clear()

    stream = await begun(sse, FOREVER, producer=produce)
    for number in range(10):
        assert await stream.__anext__() == message(number)
        assert not sse.closed
        go.set()
    assert await ended(stream)


async def test_there_are_comments_while_it_is_silent():
    async def produce(sse):
        await asyncio.Event().wait()

    stream = new().astream(0.001, producer=produce)
    for _ in range(4):
        assert await stream.__anext__() == COMMENT
    await stream.aclose()


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


@pytest.mark.parametrize("producer", [
    nothing, pytest.param(functools.partial(nothing), marks=pytest.mark.native),
    pytest.param(lambda sse: nothing(sse), marks=pytest.mark.native),
], ids=["function", "partial", "lambda"])
async def test_what_is_an_async_function(producer):
    assert [chunk async for chunk in new().astream(FOREVER, producer)] == [COMMENT]


async def test_it_may_close_the_sse_itself():
    async def produce(sse):
        sse.add_message("e", "x")
        sse.close()
        sse.add_message("e", "y")

    chunks = [chunk async for chunk in new().astream(FOREVER, produce)]
    assert b"".join(chunks).replace(COMMENT, b"") == message("x")


# -- It raises ---------------------------------------------------------------------------

OTHER = new()
OTHER.close()


def closed_of_another():
    OTHER.add_message("e", "x")


@pytest.mark.parametrize("after", [0, 1], ids=["at once", "later"])
@pytest.mark.parametrize("fail, error", [
    (lambda: {}["x"], KeyError),
    (lambda: 1 // 0, ZeroDivisionError),
    (closed_of_another, Closed),
    (lambda: new().add_message("e", 5), TypeError),
], ids=["KeyError", "ZeroDivisionError", "Closed of another", "TypeError"])
async def test_what_it_raises_is_raised_after_what_was_added(fail, error, after):
    sse = new()

    async def produce(sse):
        sse.add_message("e", "x")
        await turn(after)
        sse.add_message("e", "y")
        fail()

    chunks, failure = await raised_by(sse.astream(FOREVER, produce), error)
    assert chunks == message("x") + message("y")
    assert sse.closed
    names = []
    traceback = failure.__traceback__
    while traceback:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    assert "produce" in names


class Odd(StopAsyncIteration):
    pass


# Before Python 3.8 a task lets GeneratorExit through, to the loop.
@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration, asyncio.CancelledError, Odd]
                         + [GeneratorExit] * (sys.version_info >= (3, 8)))
async def test_what_would_look_like_an_end_becomes_a_runtime_error(error):
    sse = new()
    original = error("x")

    async def produce(sse):
        sse.add_message("e", "x")
        raise original

    chunks, failure = await raised_by(sse.astream(FOREVER, produce), RuntimeError)
    assert chunks == message("x")
    assert type(failure.__cause__) is error
    assert error is StopIteration or "producer" in str(failure)
    assert sse.closed


async def test_a_cancel_from_elsewhere_becomes_a_runtime_error():
    tasks = []

    async def produce(sse):
        tasks.append(getattr(asyncio, "current_task", None) or asyncio.Task.current_task)
        tasks.append(tasks.pop()())
        sse.add_message("e", "x")
        await asyncio.Event().wait()

    sse = new()
    stream = await begun(sse, FOREVER, producer=produce)
    assert await stream.__anext__() == message("x")
    task = await waiting(stream)
    tasks.pop().cancel()
    with pytest.raises(RuntimeError, match="CancelledError"):
        await task
    assert await ended(stream)


async def test_closed_of_this_sse_ends_it_quietly():
    async def produce(sse):
        while True:
            sse.add_message("e", "x")
            await asyncio.sleep(0)

    sse = new()
    stream = await begun(sse, FOREVER, producer=produce)
    assert await stream.__anext__() == message("x")
    sse.close()
    async for chunk in stream:
        assert chunk == message("x")


# -- The client disconnects --------------------------------------------------------------


class Producer(object):
    """Waits until it is cancelled, and takes some turns to clean up."""

    def __init__(self):
        self.events = []

    async def __call__(self, sse):
        self.events.append("began")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.events.append("cancelled, closed: %s" % sse.closed)
            raise
        finally:
            await turn(5)
            self.events.append("clean")


CANCELLED = ["began", "cancelled, closed: True", "clean"]


async def disconnect_by_aclose(sse, stream):
    await stream.aclose()


async def disconnect_by_a_thread(sse, stream):
    threads = Threads()
    threads.start(stream.close)
    threads.join()


async def disconnect_by_aclose_beside_a_wait(sse, stream):
    task = await waiting(stream)
    stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await task
    # A consumer that asks once more, and again, cancels nothing again.
    assert await ended(stream) and await ended(stream)


async def disconnect_by_a_cancel(sse, stream):
    task = await waiting(stream)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await ended(stream)


async def disconnect_by_a_timeout(sse, stream):
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(stream.__anext__(), 0.001)
    await turn()
    assert await ended(stream)


async def disconnect_by_a_drop(sse, stream):
    pass


async def disconnect_by_a_drop_of_a_cycle(sse, stream):
    cycle = [stream]
    cycle.append(cycle)


@pytest.mark.parametrize("disconnect", [
    disconnect_by_aclose, disconnect_by_a_thread, disconnect_by_aclose_beside_a_wait,
    disconnect_by_a_cancel, disconnect_by_a_timeout, disconnect_by_a_drop,
    disconnect_by_a_drop_of_a_cycle], ids=lambda function: function.__name__)
async def test_it_is_cancelled_once_when_the_client_disconnects(disconnect):
    sse = new()
    producer = Producer()
    streams = [await begun(sse, FOREVER, producer=producer.__call__)]
    await turn()
    assert producer.events == ["began"]
    await disconnect(sse, streams.pop())
    collect()
    await turn(20)
    assert sse.closed
    assert producer.events == CANCELLED


async def test_it_is_not_cancelled_at_a_natural_end():
    sse = new()
    go = asyncio.Event()
    events = []

    async def produce(sse):
        try:
            await go.wait()
            events.append("saved")
        except asyncio.CancelledError:
            events.append("cancelled")

    stream = await begun(sse, FOREVER, producer=produce)
    sse.close()
    assert await ended(stream)
    await stream.aclose()
    del stream
    collect()
    await turn()
    go.set()
    await turn()
    assert events == ["saved"]


async def test_a_failure_that_nobody_reads_reaches_the_exception_handler(reports):
    failure = KeyError("x")
    go = asyncio.Event()

    async def produce(sse):
        await go.wait()
        raise failure

    for end in "close", "aclose":
        sse = new()
        stream = await begun(sse, FOREVER, producer=shielded(produce))
        await turn()
        getattr(sse if end == "close" else stream, end)()
        assert await ended(stream)
        await turn()
        assert not reports
        go.set()
        await turn()
        report = reports.pop()
        assert report["exception"] is failure
        assert "producer" in report["message"]
        assert not reports
        go.clear()


def shielded(produce):
    """`produce`, which goes on when it is cancelled."""
    async def producer(sse):
        task = asyncio.ensure_future(produce(sse))
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                pass
        task.result()
    return producer


async def test_a_failure_on_which_the_client_disconnects_is_reported(reports):
    """It failed while its reader was at work, and the reader never asked again."""
    failure = KeyError("x")

    async def produce(sse):
        raise failure

    stream = await begun(new(), FOREVER, producer=produce)
    await turn()
    assert not reports
    await stream.aclose()
    await turn()
    assert await ended(stream) and await ended(stream)
    assert [report["exception"] for report in reports] == [failure]     # once
    reports.clear()


# -- Mistakes ----------------------------------------------------------------------------


@pytest.mark.parametrize("producer", [5, "x", object(), True, []])
async def test_not_callable(producer):
    sse = new()
    with pytest.raises(TypeError, match="producer must be a function"):
        sse.astream(FOREVER, producer)
    assert not sse.closed
    assert await sse.astream().__anext__() == COMMENT


async def async_generator(sse):
    yield b"x"


def generator(sse):
    yield b"x"


async def with_a_result(sse):
    return b"x"


async def without_a_parameter():
    pass


@pytest.mark.native
@pytest.mark.parametrize("producer, words", [
    (lambda sse: b"x", "must return None, not bytes"),
    (generator, "must return None, not generator"),
    (async_generator, "must return None, not async_generator"),
    (with_a_result, "must return None, not bytes"),
    (lambda sse: with_a_result(sse), "must return None, not bytes"),
    (lambda: None, "argument"),
    (without_a_parameter, "argument"),
], ids=["result", "generator", "async generator", "async result", "result of a lambda",
        "no parameter", "async, no parameter"])
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
async def test_a_plain_function_gets_closed_when_the_client_disconnects():
    disconnected, closed = threading.Event(), threading.Event()

    def produce(sse):
        sse.add_message("e", "x")
        disconnected.wait(FOREVER)
        try:
            sse.add_message("e", "y")
        except Closed:
            closed.set()
            raise

    stream = new().astream(None, produce)
    assert await stream.__anext__() == message("x")
    await stream.aclose()
    disconnected.set()
    while not closed.is_set():
        await turn()
    assert await ended(stream)


@pytest.mark.native
async def test_what_a_plain_function_raises_after_the_end_reaches_the_exception_handler(reports):
    failure = KeyError("x")
    go = threading.Event()

    def produce(sse):
        sse.add_message("e", "x")
        go.wait(FOREVER)
        raise failure

    stream = new().astream(None, produce)
    assert await stream.__anext__() == message("x")
    await stream.aclose()
    go.set()
    while not reports:
        await turn()
    assert [report["exception"] for report in reports] == [failure]
    reports.clear()


class Unread(Exception):
    """Nobody reads this."""


@pytest.mark.native
@pytest.mark.parametrize("fails", [True, False])
@pytest.mark.filterwarnings("default::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_plain_function_whose_loop_is_closed(loop, fails, monkeypatch):
    """threading prints what it raises; `Closed` ends it quietly."""
    printed, threads = [], []
    go = threading.Event()

    def produce(sse):
        threads.append(threading.current_thread())
        sse.add_message("e", "x")
        go.wait(FOREVER)
        if fails:
            raise Unread
        sse.add_message("e", "y")

    monkeypatch.setattr(threading, "excepthook", lambda args: printed.append(args.exc_type),
                        raising=False)
    stream = new().astream(None, produce)
    assert loop.run_until_complete(stream.__anext__()) == message("x")
    loop.close()
    stream.aclose()
    go.set()
    threads[0].join(FOREVER)
    assert printed == [Unread] * fails or sys.version_info < (3, 8)


@pytest.mark.native
async def test_a_coroutine_that_comes_after_the_client_disconnected_is_cancelled():
    threads, events = [], []
    go = threading.Event()

    async def produce(sse):
        events.append("begun")

    def call(sse):
        threads.append(threading.current_thread())
        sse.add_message("e", "x")
        go.wait(FOREVER)
        return produce(sse)

    stream = new().astream(None, call)
    assert await stream.__anext__() == message("x")
    await stream.aclose()
    go.set()
    threads[0].join(FOREVER)
    await turn()
    assert await ended(stream) and not events


@pytest.mark.native
@pytest.mark.parametrize("error", [KeyError, StopIteration, StopAsyncIteration])
async def test_a_plain_function_that_raises(error):
    def produce(sse):
        sse.add_message("e", "x")
        raise error("x")

    sse = new()
    expected = error if error is KeyError else RuntimeError
    chunks, failure = await raised_by(sse.astream(FOREVER, produce), expected)
    assert chunks == message("x")
    assert sse.closed


@pytest.mark.parametrize("when", ["before the call", "before the first chunk"])
async def test_it_is_not_run_if_the_sse_is_closed_already(when):
    """HEAD."""
    def produce(sse):
        raise AssertionError("it was run")

    sse = new()
    if when == "before the call":
        sse.close()
    stream = sse.astream(FOREVER, produce)
    sse.close()
    assert [chunk async for chunk in stream] == [COMMENT]


async def test_it_is_not_run_if_the_iterator_is_closed_already():
    def produce(sse):
        raise AssertionError("it was run")

    stream = new().astream(FOREVER, produce)
    stream.aclose()
    assert await ended(stream)


# -- Its task ----------------------------------------------------------------------------

if contextvars:
    NAME = contextvars.ContextVar("NAME", default="nobody")

    async def test_its_context_is_a_copy_of_the_callers():
        seen = []

        async def produce(sse):
            seen.append(NAME.get())
            NAME.set("producer")
            await turn()
            seen.append(NAME.get())

        async def handler():
            NAME.set("caller")
            stream = new().astream(FOREVER, produce)
            NAME.set("caller, later")
            return stream

        stream = await asyncio.ensure_future(handler())
        NAME.set("reader")
        async for _ in stream:
            assert NAME.get() == "reader"
        assert seen == ["caller", "producer"]

    @pytest.mark.native
    async def test_the_context_of_a_plain_function_is_the_same():
        seen = []

        async def task(sse):
            seen.append(NAME.get())

        def produce(sse):
            seen.append(NAME.get())
            NAME.set("producer")
            return task(sse)

        NAME.set("caller")
        stream = new().astream(FOREVER, produce)
        NAME.set("reader")
        async for _ in stream:
            pass
        assert seen == ["caller", "producer"] and NAME.get() == "reader"


async def test_its_task_is_not_garbage_collected():
    """A loop keeps its tasks weakly; this one waits for what nobody else has."""
    futures = []
    events = []

    async def produce(sse):
        future = asyncio.get_event_loop().create_future()
        futures.append(weakref.ref(future))
        await future
        events.append("saved")

    sse = new()
    stream = await begun(sse, FOREVER, producer=produce)
    await turn()
    sse.close()
    assert await ended(stream)
    del sse, stream
    collect()
    futures.pop()().set_result(None)
    await turn()
    assert events == ["saved"]


async def test_nothing_keeps_a_producer_that_is_done():
    class Kept(object):
        pass

    kept = Kept()
    references = [weakref.ref(kept)]

    async def produce(sse, kept=kept):
        current_task = getattr(asyncio, "current_task", None) or asyncio.Task.current_task
        references.append(weakref.ref(current_task()))

    sse = new()
    async for _ in sse.astream(FOREVER, produce):
        pass
    await turn()
    del produce, kept
    collect()
    assert [reference() for reference in references] == [None, None]


def test_nothing_keeps_a_producer_whose_loop_was_closed(loop, reports):
    tasks = []

    async def produce(sse):
        current_task = getattr(asyncio, "current_task", None) or asyncio.Task.current_task
        tasks.append(weakref.ref(current_task()))
        await asyncio.Event().wait()

    stream = loop.run_until_complete(begun(new(), FOREVER, producer=produce))
    loop.run_until_complete(turn())
    loop.close()
    stream.aclose()
    del stream
    collect()
    reports.clear()     # a task that was pending reports itself when it is destroyed
    collect()
    assert tasks[0]() is None


async def test_threads_may_add_beside_it():
    sse = new()
    go = threading.Event()

    async def produce(sse):
        threads = Threads()
        threads.start(lambda: [sse.add_message("e", "%d" % number) for number in range(100)])
        while any(thread.is_alive() for thread in threads.threads):
            await asyncio.sleep(0)
        go.set()

    chunks = [chunk async for chunk in sse.astream(FOREVER, produce)]
    assert b"".join(chunks).replace(COMMENT, b"") == b"".join(map(message, range(100)))
    assert go.is_set()


# -- drain -------------------------------------------------------------------------------

BIG = "x" * 10000


@pytest.mark.parametrize("max_pending", [None, 20000])
async def test_drain_waits_for_the_client(max_pending):
    sse = Sse(None, max_pending)
    most = 0

    async def produce(sse):
        nonlocal most
        for number in range(100):
            sse.add_message("e", BIG)
            most = max(most, len(bytes(sse)))
            await sse.drain()

    stream = sse.astream(None, produce)
    sent = await stream.__anext__()
    await turn()
    assert not sse.closed
    sent += await read(stream)
    assert sent == message(BIG) * 100
    assert most <= 16384 + len(message(BIG))


@pytest.mark.native
async def test_drain_in_the_thread_of_a_plain_function():
    sizes = []

    def produce(sse):
        for number in range(100):
            sse.add_message("e", BIG)
            sizes.append(len(bytes(sse)))
            sse.drain()

    assert await read(new().astream(None, produce)) == message(BIG) * 100
    assert max(sizes) <= 16384 + len(message(BIG))


async def full(**options):
    """An `Sse` on which `drain` waits, its stream, and a task that is in `drain`."""
    sse = Sse(None, **options)
    stream = await begun(sse, FOREVER)
    sse.add_message("e", BIG * 2)
    task = asyncio.ensure_future(drain(sse))
    await turn()
    assert not task.done()
    return sse, stream, task


async def drain(sse):
    await sse.drain()


def in_a_thread(function):
    threads = Threads()
    threads.start(function)
    threads.join()


@pytest.mark.parametrize("end", [
    lambda sse, stream: sse.close(), lambda sse, stream: stream.aclose(),
    pytest.param(lambda sse, stream: in_a_thread(sse.close), marks=pytest.mark.native),
], ids=["close", "aclose", "close in a thread"])
async def test_drain_raises_closed_once_nobody_reads(end):
    sse, stream, task = await full()
    end(sse, stream)
    with pytest.raises(Closed):
        await task
    with pytest.raises(Closed):
        await sse.drain()


async def test_drain_raises_closed_when_the_iterator_is_let_go_of():
    sse, stream, task = await full()
    del stream
    collect()
    with pytest.raises(Closed):
        await task


async def test_drain_may_be_cancelled():
    sse, stream, task = await full()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await stream.__anext__() == message(BIG * 2)
    await turn()
    await sse.drain()
    assert not sse.closed


async def test_drain_needs_a_stream():
    with pytest.raises(RuntimeError, match="needs an open stream"):
        await new().drain()


def test_close_after_the_loop_of_who_waits_was_closed(loop):
    sse, stream, task = loop.run_until_complete(full())
    task.cancel()
    loop.run_until_complete(turn())
    loop.close()
    sse.close()
    assert sse.closed
