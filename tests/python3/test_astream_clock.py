"""astream() and the time and calls of its loop, in a loop whose clock a test sets."""

import asyncio

import pytest

from loops import (
    HERE_OR_THREAD, begun, collect, ended, in_thread, message, new, next_of, one_that_waits, turn,
    waiting)
from support import COMMENT


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


@pytest.fixture
def new_loop():
    return ClockLoop


# -- Comments ----------------------------------------------------------------------------


@pytest.mark.parametrize("options, seconds", [
    ({}, 15), ({"keepalive": 0.001}, 0.001), ({"keepalive": 2147483}, 2147483)],
    ids=["default", "shortest", "longest"])
async def test_a_comment_after_so_many_seconds_of_silence(options, seconds, loop):
    sse = new()
    stream = sse.astream(**options)
    assert await stream.__anext__() == COMMENT
    for _ in range(3):
        task = await waiting(stream)
        due = loop.now + seconds
        await loop.advance(seconds * 0.9)
        assert not task.done()
        loop.now = due
        await turn()
        assert task.result() == COMMENT
    assert not sse.closed


async def test_no_comments_with_none(loop):
    _, _, task = await one_that_waits(keepalive=None)
    await loop.advance(10 ** 9)
    assert not task.done()
    assert loop.timers == 0


async def test_the_silence_begins_with_the_last_chunk(loop):
    sse = new()
    stream = await begun(sse, 15)
    for idle in 0, 0, 100:      # it is no silence while nobody waits
        await loop.advance(idle)
        task = await waiting(stream)
        await loop.advance(10)
        assert not task.done()
        sse.add_message("e", "x")
        assert await task == message("x")
    task = await waiting(stream)
    await loop.advance(10)
    assert not task.done()
    await loop.advance(5)
    assert task.result() == COMMENT


# -- Timers ------------------------------------------------------------------------------


async def test_one_timer_for_a_stream(loop):
    sse = new()
    stream = await begun(sse, 15)
    for _ in range(100):
        task = await waiting(stream)
        sse.add_message("e", "x")
        await task
    assert loop.timers == len(loop.pending_timers()) == 1
    for _ in range(10):
        task = await waiting(stream)
        await loop.advance(16)
        assert task.result() == COMMENT
        assert len(loop.pending_timers()) <= 1
    # One for each comment at most, and one that found that there was a chunk.
    assert loop.timers <= 12


async def test_no_timer_after_a_producer_failed(loop):
    async def produce(sse):
        await asyncio.sleep(0)
        raise KeyError("x")

    stream = await begun(new(), 15, producer=produce)
    with pytest.raises(KeyError):
        await stream.__anext__()
    assert loop.pending_timers() == []


@pytest.mark.parametrize("end", [
    lambda sse, stream, task: sse.close(),
    lambda sse, stream, task: stream.aclose(),
    lambda sse, stream, task: in_thread(stream.aclose),
    lambda sse, stream, task: task.cancel(),
    lambda sse, stream, task: sse.add_message("e", "the last that it reads"),
], ids=["close", "aclose", "aclose in a thread", "cancel", "drop"])
async def test_no_timer_after_the_end(end, loop):
    sse, stream, task = await one_that_waits(keepalive=15)
    end(sse, stream, task)
    await asyncio.wait([task])
    task.cancelled() or task.exception()
    del stream, task
    collect()
    await turn()
    assert sse.closed
    assert loop.pending_timers() == []


# -- Calls of the loop -------------------------------------------------------------------


async def test_an_add_in_the_thread_of_the_loop_is_no_system_call(loop):
    sse = new()
    stream = await begun(sse, 15)
    for _ in range(10):
        task = await waiting(stream)
        for _ in range(10):
            sse.add_message("e", "x")
        assert await task == 10 * message("x")
    assert loop.threadsafe_calls == 0


async def test_one_call_of_the_loop_for_all_adds_of_threads_until_it_looks(loop):
    sse = new()
    stream = await begun(sse, 15)

    async def add():
        for _ in range(1000):
            sse.add_message("e", "x")

    def in_a_loop_of_its_own():
        other = asyncio.new_event_loop()
        other.run_until_complete(add())
        other.close()

    for number in range(1, 6):
        task = await waiting(stream)
        in_thread(in_a_loop_of_its_own)
        assert loop.threadsafe_calls == number
        assert await task == 1000 * message("x")


@HERE_OR_THREAD
@pytest.mark.parametrize("close", [lambda sse, stream: sse.close, lambda sse, stream: stream.close],
                         ids=["Sse.close", "close"])
async def test_close_wakes_a_loop_that_waits(close, call, loop):
    """Here: a signal handler. The system call goes on after it (PEP 475)."""
    sse = new()
    stream = await begun(sse, None)
    select = loop._selector.select

    def interrupted(timeout):
        if timeout is None:
            loop._selector.select = select
            call(close(sse, stream))
        return select(timeout)

    loop._selector.select = interrupted
    assert await ended(stream)
    assert loop._selector.select == select


@pytest.mark.parametrize("error", [KeyboardInterrupt, RecursionError, RuntimeError])
def test_an_add_whose_call_of_the_loop_fails_silences_no_later_ones(error, loop):
    """Of a closed loop it is nothing to the writer; of any other one it is his."""
    sse = new()
    stream = loop.run_until_complete(begun(sse))
    task = loop.create_task(next_of(stream))
    loop.run_until_complete(turn())

    def fail(*args):
        del loop.call_soon_threadsafe
        raise error

    loop.call_soon_threadsafe = fail
    with pytest.raises(error):
        sse.add_message("e", "x")
    assert not sse.closed
    sse.add_message("e", "y")
    loop.run_until_complete(turn())
    assert task.result() == message("x") + message("y")


async def test_an_add_between_the_look_and_the_future(loop):
    """As test_astream_moments.py finds it, but where coverage is measured."""
    sse = new()
    stream = await begun(sse, None)
    create_future = loop.create_future

    def create():
        del loop.create_future
        sse.add_message("e", "x")
        return create_future()

    loop.create_future = create
    assert await stream.__anext__() == message("x")


async def test_a_signal_handler_that_adds_in_the_middle_of_a_wake(loop):
    """Between the look at the future and its result: no InvalidStateError at the publisher."""
    added_by_handler = []

    class Future(asyncio.Future):
        def done(self):
            done = super().done()
            if added_by_handler:
                sse.add_message("e", added_by_handler.pop())
            return done

    loop.create_future = lambda: Future(loop=loop)
    sse, _, task = await one_that_waits()
    added_by_handler.append("y")
    sse.add_message("e", "x")
    assert await task == message("x") + message("y")
    del loop.create_future


if hasattr(asyncio, "eager_task_factory"):      # Python 3.12
    @pytest.mark.parametrize("error", [None, KeyError("x")])
    async def test_a_producer_whose_task_runs_at_once(error, loop):
        loop.set_task_factory(asyncio.eager_task_factory)

        async def produce(sse):
            sse.add_message("e", "x")
            if error:
                raise error

        stream = new().astream(producer=produce)
        assert await stream.__anext__() == message("x")
        with pytest.raises(KeyError if error else StopAsyncIteration):
            await stream.__anext__()
