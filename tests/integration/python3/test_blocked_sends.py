"""Clients that stop reading: each holds a thread of the server until it disconnects, by default.

With a timeout, which slow_client.py sets, it holds it for some seconds.
"""

import contextlib
import os
import socket
import time

import psutil
import pytest
import requests

import loopback
from loopback import wait_for

SLOW = 5
SET = "settimeout(60)"
GUNICORN = ["-m", "gunicorn", "--bind=127.0.0.1:{port}", "--no-control-socket",
            "--threads=%d" % (SLOW + 1), "--error-logfile=log", "slow_client:app"]
FLASK = ["-m", "flask", "--app=slow_client", "run", "--port={port}"]


@contextlib.contextmanager
def serving(folder, command, seconds):
    with open(os.path.join(os.path.dirname(__file__), "slow_client.py")) as source:
        text = source.read()
    assert SET in text
    (folder / "slow_client.py").write_text(text.replace(SET, "settimeout(%s)" % seconds))
    with loopback.serving(*command, cwd=str(folder)) as process:
        yield process.port, process


@contextlib.contextmanager
def client(port):
    """A client that asks, and reads when it is told to."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        sock.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield sock


@contextlib.contextmanager
def slow_clients(port):
    """Clients that had their first block, and whose streams were closed: too much is pending."""
    with contextlib.ExitStack() as stack:
        for _ in range(SLOW):
            sock = stack.enter_context(client(port))
            sock.settimeout(10)
            assert sock.recv(20).startswith(b"HTTP/1.1 200")
        while requests.post("http://127.0.0.1:%d/add" % port, "x" * 60000).text != "0":
            pass
        yield stack


def answered(socks, seconds):
    """How many of `socks` get an answer within `seconds`."""
    end = time.monotonic() + seconds
    count = 0
    for sock in socks:
        sock.settimeout(max(0.01, end - time.monotonic()))
        with contextlib.suppress(socket.timeout):
            count += sock.recv(12) == b"HTTP/1.1 200"
    return count


@pytest.mark.parametrize("seconds, threads", [(None, 1), (1, SLOW + 1)])
def test_gunicorn_gthread(tmp_path, seconds, threads):
    with serving(tmp_path, GUNICORN, seconds) as (port, _), slow_clients(port) as slow:
        with contextlib.ExitStack() as stack:
            start = time.monotonic()
            socks = [stack.enter_context(client(port)) for _ in range(SLOW + 1)]
            assert answered(socks, 10 if threads > 1 else 4) == threads
            print("%d threads are free after %.1f s" % (threads, time.monotonic() - start))
            slow.close()        # they disconnect
            if threads == 1:
                assert answered(socks[1:], 10) == SLOW
    log = (tmp_path / "log").read_text()
    assert ("TimeoutError: timed out" in log) == bool(seconds)


@pytest.mark.parametrize("seconds, held", [(None, SLOW), (1, 0)])
def test_werkzeug(tmp_path, seconds, held):
    with serving(tmp_path, FLASK, seconds) as (port, process):
        threads = psutil.Process(process.pid).num_threads
        before = 1
        wait_for(lambda: threads() == before)   # that of the first connection has ended
        with slow_clients(port):
            if held:
                with pytest.raises(AssertionError):
                    wait_for(lambda: threads() < before + held, 4)
                assert threads() == before + held
            else:
                wait_for(lambda: threads() == before)
        wait_for(lambda: threads() == before)
