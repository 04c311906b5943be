"""What `run.mjs` runs within the WebAssembly: all tests but those marked `native`."""

import asyncio
import os
import sys
import time

import pytest

import sse


class Loop(asyncio.BaseEventLoop):
    """CPython's own event loop, for a platform on which timers alone can wake it.

    Pyodide's WebLoop is JavaScript's loop with the face of asyncio: its tasks would not be
    those of a server, and `asyncio.run` needs a V8 that switches stacks.
    """

    def __init__(self):
        super().__init__()
        self._selector = self
        self._woken = False

    def select(self, timeout):
        if not self._woken:
            if timeout is None:
                raise RuntimeError("without threads and sockets nothing can wake this loop")
            time.sleep(timeout)
        self._woken = False
        return ()

    def _process_events(self, events):
        pass

    def _write_to_self(self):
        self._woken = True


class Policy(asyncio.events._BaseDefaultEventLoopPolicy):
    _loop_factory = Loop


class Count(object):
    """Says how many tests were left out."""

    left_out = 0

    def pytest_deselected(self, items):
        self.left_out += len(items)

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter.write_line(
            "left out: %d tests that need threads, a process or CPU time" % self.left_out)


def main(options):
    # WebLoop counts as running from the start.
    asyncio._set_running_loop(None)
    asyncio.events._set_event_loop_policy(Policy())
    asyncio.SelectorEventLoop = Loop    # for those who derive theirs from it
    os.chdir("/checkout/tests")
    print("Python %s" % sys.version)
    print("sse %s from %s" % (sse.__version__, sse.__file__))
    options = ["-m", "not native", "-p", "no:cacheprovider"] + options
    return int(pytest.main(options, plugins=[Count()]))
