"""What servers with open streams do on SIGINT and SIGTERM, by default and with the recipes.

The recipes are the files of examples/stopping. With -rP it shows how long each took.
"""

import collections
import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import threading
import time

import psutil
import pytest
from loopback import EXAMPLES, free_port, python, running, wait_for

STREAMS = 3

UVICORN = ["-m", "uvicorn", "--port={port}"]
HYPERCORN = ["-m", "hypercorn", "--bind=127.0.0.1:{port}"]
GUNICORN = ["-m", "gunicorn", "--bind=127.0.0.1:{port}", "--no-control-socket"]
GTHREAD = GUNICORN + ["--threads=9", "flask_app:app"]
GEVENT = GUNICORN + ["--worker-class=gevent", "flask_app:app"]
WORKER = GUNICORN + ["--worker-class=uvicorn_worker.UvicornWorker"]
SANIC = ["-m", "sanic", "sanic_app:app", "--port={port}", "--single-process"]

# What becomes of the clients, and the seconds after which the server ends: from, to.
Outcome = collections.namedtuple("Outcome", "clients least most")
WAITS = Outcome("waiting", 2, None)
CUT = Outcome("cut off", 0, 4)
ENDED = Outcome("ended", 0, 8)
# gunicorn's own default is 30 seconds.
GRACEFUL = ["--graceful-timeout=3"]
GRACEFUL_CUT = Outcome("cut off", 3, 10)

# The name, the command, text that is taken out of the recipes, and both outcomes.
Row = collections.namedtuple("Row", "name command without sigint sigterm")

DEFAULTS = [
    Row("uvicorn", UVICORN + ["--lifespan=off", "lifespan:app"], "", WAITS, WAITS),
    Row("uvicorn with a timeout", UVICORN + ["--lifespan=off", "--timeout-graceful-shutdown=1",
                                             "lifespan:app"], "", CUT, CUT),
    Row("uvicorn, Django", UVICORN + ["django_app:application"],
        "    close_on_signals(channel)\n", WAITS, WAITS),
    # Its child process ignores both signals, so that a lifespan does not help.
    Row("hypercorn", HYPERCORN + ["lifespan:app"], "", WAITS, WAITS),
    Row("hypercorn -w 0", HYPERCORN + ["-w", "0", "lifespan:app"], ", lifespan=lifespan",
        WAITS, WAITS),
    Row("quart run", ["-m", "quart", "--app=quart_app", "run", "--port={port}"],
        "@app.before_serving\n", WAITS, WAITS),
    Row("daphne", ["-m", "daphne", "--port={port}", "lifespan:app"], "", CUT, CUT),
    Row("gunicorn gthread", GTHREAD + GRACEFUL + ["--config=/dev/null"], "",
        GRACEFUL_CUT, GRACEFUL_CUT),
    Row("gunicorn gevent", GEVENT + GRACEFUL + ["--config=/dev/null"], "", CUT, GRACEFUL_CUT),
    Row("gunicorn UvicornWorker", WORKER + GRACEFUL + ["django_app:application"],
        "    close_on_signals(channel)\n", GRACEFUL_CUT, GRACEFUL_CUT),
    Row("waitress", ["-m", "waitress", "--listen=127.0.0.1:{port}", "flask_app:app"], "",
        Outcome("cut off", 5, 10), CUT),
    Row("flask run", ["-m", "flask", "--app=flask_app", "run", "--port={port}"], "", CUT, CUT),
    Row("aiohttp", ["aiohttp_app.py"], "app.on_shutdown.append(stop)\n", WAITS, WAITS),
    Row("Sanic", SANIC, "@app.before_server_stop\n", WAITS, WAITS),
]

RECIPES = [
    Row("uvicorn", UVICORN + ["lifespan:app"], "", ENDED, ENDED),
    Row("uvicorn --loop=asyncio", UVICORN + ["--loop=asyncio", "lifespan:app"], "", ENDED, ENDED),
    Row("uvicorn --workers=2", UVICORN + ["--workers=2", "lifespan:app"], "", ENDED, ENDED),
    Row("uvicorn, Django", UVICORN + ["django_app:application"], "", ENDED, ENDED),
    Row("uvicorn, Quart", UVICORN + ["quart_app:app"], "", ENDED, ENDED),
    Row("litestar run", ["-m", "litestar", "--app=litestar_app:app", "run", "--port={port}"], "",
        ENDED, ENDED),
    Row("hypercorn -w 0", HYPERCORN + ["-w", "0", "lifespan:app"], "", ENDED, ENDED),
    Row("hypercorn -w 0, Quart", HYPERCORN + ["-w", "0", "quart_app:app"], "", ENDED, ENDED),
    Row("hypercorn's serve()", ["hypercorn_serve.py"], "", ENDED, ENDED),
    Row("quart run", ["-m", "quart", "--app=quart_app", "run", "--port={port}"], "",
        ENDED, ENDED),
    Row("gunicorn gthread", GTHREAD, "", ENDED, ENDED),
    Row("gunicorn gevent", GEVENT, "", ENDED, ENDED),
    # On SIGINT gunicorn sends SIGQUIT, which does not end this worker, even without a stream.
    Row("gunicorn UvicornWorker", WORKER + GRACEFUL + ["lifespan:app"], "", GRACEFUL_CUT, ENDED),
    Row("waitress", ["waitress_app.py"], "", ENDED, ENDED),
    Row("aiohttp", ["aiohttp_app.py"], "", ENDED, ENDED),
    Row("Sanic", SANIC, "", ENDED, ENDED),
]

CASES = [(row, number) for row in DEFAULTS + RECIPES for number in (signal.SIGINT, signal.SIGTERM)]
NAMES = ["%s %s %s" % (kind, row.name, number.name)
         for kind, rows in (("default", DEFAULTS), ("recipe", RECIPES))
         for row in rows for number in (signal.SIGINT, signal.SIGTERM)]


class Client:
    """A stream that has begun, and is read to its end in a thread of its own."""

    def __init__(self, port, path="/events"):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.connection.request("GET", path)
        self.sock = self.connection.sock
        self.response = self.connection.getresponse()
        assert self.response.status == 200
        assert self.response.getheader("Transfer-Encoding") == "chunked"
        assert self.response.read1(1)
        self.got = "waiting"
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        try:
            self.response.read()
            self.got = "ended"      # by the last chunk
        except (OSError, http.client.HTTPException):
            self.got = "cut off"

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(2)
        self.thread.join()
        self.response.close()
        self.connection.close()


@contextlib.contextmanager
def serving(folder, command, without=""):
    """A server that runs in `folder`, a copy of the recipes; its port and its process."""
    port = free_port()
    shutil.copytree(os.path.join(EXAMPLES, "stopping"), folder,
                    ignore=shutil.ignore_patterns("__pycache__"))
    found = not without
    for path in folder.iterdir():
        text = path.read_text()
        found = found or without in text
        if without:
            text = text.replace(without, "")
        path.write_text(text.replace("8000", str(port)))
    assert found
    arguments = python(*[part.format(port=port) for part in command])
    # A shell starts what it runs in the background with SIGINT ignored.
    with running(arguments, port, cwd=str(folder),
                 preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as process:
        try:
            yield port, process
        finally:
            if process.poll() is None:
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
                process.kill()


@pytest.mark.parametrize("row, number", CASES, ids=NAMES)
def test_stopping(tmp_path, row, number):
    expected = row.sigint if number == signal.SIGINT else row.sigterm
    with serving(tmp_path / "app", row.command, row.without) as (port, process):
        clients = [Client(port) for _ in range(STREAMS)]
        try:
            start = time.monotonic()
            process.send_signal(number)
            try:
                process.wait(expected.most or expected.least)
                seconds = time.monotonic() - start
                for client in clients:
                    client.thread.join(5)
            except subprocess.TimeoutExpired:
                seconds = None
            got = {client.got for client in clients}
        finally:
            for client in clients:
                client.close()
    print("%s after %s" % (" and ".join(sorted(got)), seconds and "%.2f s" % seconds))
    assert got == {expected.clients}
    if expected.most is None:
        assert seconds is None
    else:
        assert expected.least <= seconds <= expected.most


def answers(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("HEAD", path)
        return connection.getresponse().status == 200


@pytest.mark.parametrize("without, reloads", [("", True), (", lifespan=lifespan", False)])
def test_reload_while_a_stream_is_open(tmp_path, without, reloads):
    folder = tmp_path / "app"
    with serving(folder, UVICORN + ["--reload", "lifespan:app"], without) as (port, _):
        client = Client(port)
        try:
            path = folder / "lifespan.py"
            path.write_text(path.read_text().replace('"/events"', '"/changed"'))
            start = time.monotonic()
            if reloads:
                wait_for(lambda: answers(port, "/changed"), 20)
                print("the new server after %.2f s" % (time.monotonic() - start))
                client.thread.join(5)
                assert client.got == "ended"
            else:
                with pytest.raises(AssertionError):
                    wait_for(lambda: answers(port, "/changed"), 4)
                assert client.got == "waiting"
        finally:
            client.close()


def test_the_lifespan_under_a_test_client(monkeypatch):
    """It runs the application in another thread, which may not set signal handlers."""
    monkeypatch.syspath_prepend(os.path.join(EXAMPLES, "stopping"))
    before = signal.getsignal(signal.SIGTERM)
    import lifespan
    from starlette.testclient import TestClient
    with TestClient(lifespan.app) as client:
        assert client.head("/events").status_code == 200
    assert signal.getsignal(signal.SIGTERM) is before
