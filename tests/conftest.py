"""Where SSE_NO_SKIPS is set, as in CI, a skipped test is a failed run."""

import os
import sys

import pytest

# Its files are not even syntax for Python 2.
collect_ignore = ["python3", "integration/python3"] if sys.version_info[0] == 2 else []


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
