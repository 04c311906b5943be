"""Real servers as processes on loopback, and a client that shows when each byte came."""

import contextlib
import inspect
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

import requests

EXAMPLES = os.path.join(
    os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir, "examples")


def free_port():
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_for(condition, seconds=10, name=None):
    """What `condition()` gives, as soon as it is true; AssertionError if it never is."""
    result = None
    end = time.time() + seconds
    while time.time() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.01)    # nothing announces what another process does
    if name is None:
        try:
            name = inspect.getsource(condition).strip()
        except (OSError, IOError, TypeError):
            name = condition
    raise AssertionError("not within %s seconds, last %r: %s" % (seconds, result, name))


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except socket.error:
        return False


@contextlib.contextmanager
def ended(process):
    """A process that is ended at the end, whatever it takes."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        killer = threading.Timer(10, process.kill)
        killer.start()
        process.wait()
        killer.cancel()


@contextlib.contextmanager
def running(arguments, port, **options):
    """A server process that listens on `port`; its output is in the error if it does not."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=output, **options)

        def ready():
            if process.poll() is not None:
                output.seek(0)
                raise AssertionError("%r ended: %s" % (arguments, output.read().decode()))
            return accepts(port)

        with ended(process):
            wait_for(ready, 60, "%r listens on %d" % (arguments, port))
            yield process


def python(*arguments):
    return [sys.executable] + list(arguments)


@contextlib.contextmanager
def serving(*arguments, **options):
    """Python with these arguments, "{port}" in them a free one: a process with `port`, `url`."""
    port = free_port()
    arguments = python(*[each.replace("{port}", str(port)) for each in arguments])
    with running(arguments, port, **options) as process:
        process.port, process.url = port, "http://127.0.0.1:%d" % port
        yield process


def environment(**more):
    return dict(os.environ, **more)


class Client(object):
    """A response that is read byte by byte, so that nothing waits for more to come."""

    def __init__(self, url, timeout=10, **options):
        self.response = requests.get(url, stream=True, timeout=timeout, **options)
        self._bytes = self.response.iter_content(1)

    def read_until(self, end):
        """All that comes, up to and with the bytes `end`."""
        read = b""
        while not read.endswith(end):
            try:
                byte = next(self._bytes, None)
            except requests.RequestException as error:
                raise AssertionError("no %r after %r: %s" % (end, read[-200:], error))
            assert byte, "the response ended before %r, with %r" % (end, read[-200:])
            read += byte
        return read

    def rest(self):
        return b"".join(self._bytes)

    def close(self):
        self.response.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
