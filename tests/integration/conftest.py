"""Puts this folder on the path of the tests below it; and the fixture `start`."""

import io
import os
import shutil
import signal

import pytest

from loopback import EXAMPLES, free_port, python, running

# In a background job of a shell it is ignored. So would the servers, and Ctrl-C not end them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter):
    """What each reader of streams read, as test_readers.py recorded it."""
    lines = [value for report in terminalreporter.stats.get("passed", [])
             for name, value in report.user_properties if name == "reader"]
    if lines:
        terminalreporter.section("readers")
        for line in sorted(lines):
            terminalreporter.write_line(line)


@pytest.fixture
def start(tmpdir):
    """Of an example that a user saves somewhere, with its page, and runs: the process, its URL."""
    def start(name, *pages):
        for page in pages:
            shutil.copy(os.path.join(EXAMPLES, page), str(tmpdir))
        port = free_port()
        with io.open(os.path.join(EXAMPLES, name), encoding="utf-8") as file:
            text = file.read()
        assert "port=8000" in text
        script = tmpdir.join(name)
        script.write(text.replace("8000", str(port)))
        process = running(python(str(script)), port, cwd=str(tmpdir))
        return process, "http://127.0.0.1:%d/" % port
    return start
