"""Which tests start threads; and where SSE_NO_SKIPS is set, as in CI, a skip fails the run."""

import os
import sys

import pytest

# Its files are not even syntax for Python 2.
collect_ignore = ["python3", "integration/python3"] if sys.version_info[0] == 2 else []

# A test that names one of these has the mark `threads`; another that starts some is given it
# by hand. Where no thread can be started, one that lacks the mark fails.
STARTERS = {"Reader", "Thread", "Threads", "Timer"}


def names(code):
    """The names that a function uses, and the functions in it."""
    found = set(getattr(code, "co_names", ()))
    for constant in getattr(code, "co_consts", ()):
        if isinstance(constant, type(code)):
            found |= names(constant)
    return found


def pytest_collection_modifyitems(items):
    for item in items:
        function = getattr(item, "function", None)
        if hasattr(function, "__code__") and STARTERS & names(function.__code__):
            item.add_marker("threads")


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
