"""Which tests need a native interpreter; with SSE_NO_SKIPS, as in CI, a skip fails the run."""

import os
import sys

import pytest

# Its files are not even syntax for Python 2.
collect_ignore = ["python3", "integration/python3"] if sys.version_info[0] == 2 else []

# What WebAssembly has not. A test that uses one of these, itself or in a function of its file or
# its parameters, has the mark `native`; others are given it by hand, or they fail there.
NATIVE = {"Reader", "Thread", "ThreadPoolExecutor", "Threads", "Timer", "fork", "process_time",
          "run_in_executor", "start_new_thread", "to_thread"}


def names(code):
    """The names that a function uses, and the functions in it."""
    found = set(getattr(code, "co_names", ()))
    for constant in getattr(code, "co_consts", ()):
        if isinstance(constant, type(code)):
            found |= names(constant)
    return found


def is_native(function, seen):
    code = getattr(function, "__code__", None)
    if code is None or code in seen:
        return False
    seen.add(code)
    used = names(code)
    return bool(NATIVE & used) or any(
        is_native(function.__globals__.get(name), seen) for name in used)


def pytest_collection_modifyitems(items):
    for item in items:
        functions = [getattr(item, "function", None)]
        if hasattr(item, "callspec"):
            functions += item.callspec.params.values()
        if "reading" in item.fixturenames or any(
                is_native(function, set()) for function in functions):
            item.add_marker("native")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter and reporter.stats.get("skipped")    # no reporter: a worker of xdist
    if os.environ.get("SSE_NO_SKIPS") and skipped and exitstatus == 0:
        session.exitstatus = 1


@pytest.fixture
def tiny_switch_interval():
    """Threads take turns as often as the interpreter can."""
    if hasattr(sys, "setswitchinterval"):
        get, change, tiny = sys.getswitchinterval, sys.setswitchinterval, 1e-6
    else:
        get, change, tiny = sys.getcheckinterval, sys.setcheckinterval, 1
    usual = get()
    change(tiny)
    yield
    change(usual)


@pytest.fixture
def stream_of():
    """What makes the stream of an `Sse`; python3/test_astream_alike.py has another."""
    from sse import Sse
    return Sse.stream


@pytest.fixture
def reading(stream_of):
    """An `Sse`, and what reads its stream in a thread; the first chunk, a comment, is read.

    Its tests have `stream_of` as an argument, too: test_astream_alike.py looks for that.
    """
    from sse import Sse
    from support import COMMENT, FOREVER, Reader
    sse = Sse(default_retry=None)
    reader = Reader(stream_of(sse, FOREVER))
    assert reader.get() == COMMENT
    yield sse, reader
    sse.close()
    assert reader.get() is None
