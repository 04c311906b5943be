"""An async test is run in the event loop that is its fixture `loop`."""

import asyncio
import gc
import inspect
import threading

import pytest

from loops import current_task
from support import FOREVER

try:
    from uvloop import new_event_loop as new_uvloop
except ImportError:
    NEW_LOOPS = [asyncio.new_event_loop]
else:
    NEW_LOOPS = [asyncio.new_event_loop, new_uvloop]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    test = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
    pyfuncitem.funcargs["loop"].run_until_complete(test)
    return True


@pytest.fixture(scope="module", autouse=True)
def frozen():
    """These tests collect garbage: without all that was imported it takes a fifth of the time.

    Only here: hypothesis looks for an object of its own among what is not frozen.
    """
    getattr(gc, "freeze", int)()
    yield
    getattr(gc, "unfreeze", int)()


@pytest.fixture
def reports():
    """What the loop reports to its exception handler; a test takes from it what it expects."""
    return []


@pytest.fixture(params=NEW_LOOPS, ids=lambda new: new.__module__.split(".")[0])
def new_loop(request):
    return request.param


@pytest.fixture(autouse=True)
def loop(new_loop, reports):
    """An event loop for one test, stopped if the test waits for ever; it may report nothing."""
    loop = new_loop()
    loop.set_exception_handler(lambda loop, context: reports.append(context))
    watchdog = threading.Timer(FOREVER, loop.call_soon_threadsafe, (loop.stop,))
    watchdog.daemon = True
    try:
        watchdog.start()
    except RuntimeError:
        pass        # in WebAssembly no thread can start, and a loop that would wait for ever raises
    yield loop
    late = watchdog.finished.is_set()
    watchdog.cancel()
    if not loop.is_closed():
        loop.run_until_complete(finish(loop))
        loop.close()
    del loop
    gc.collect()
    assert reports == []
    assert not late, "the test waited for %d seconds" % FOREVER


async def finish(loop):
    """Cancel what still runs."""
    all_tasks = getattr(asyncio, "all_tasks", None) or asyncio.Task.all_tasks   # Python 3.6
    tasks = [task for task in all_tasks(loop)
             if task is not current_task(loop) and not task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await loop.shutdown_asyncgens()
