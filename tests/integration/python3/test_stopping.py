"""What servers with open streams do when they are stopped, recycled or reloaded.

By default, and with the recipes, which are in the files of examples/frameworks. With -rP it shows
how long each took.
"""

import collections
import concurrent.futures
import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest
import requests
from framework_checks import documented, FOLDER
from loopback import free_port, python, running

STREAMS = 3
OPENSSL = ("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
           "-subj /CN=test -addext subjectAltName=IP:127.0.0.1 -keyout key -out cert")

UVICORN = ["-m", "uvicorn", "--port={port}"]
HYPERCORN = ["-m", "hypercorn", "--bind=127.0.0.1:{port}"]
GUNICORN = ["-m", "gunicorn", "--bind=127.0.0.1:{port}", "--no-control-socket"]
GTHREAD = GUNICORN + ["--threads=9", "flask_app:app"]
GEVENT = GUNICORN + ["--worker-class=gevent", "flask_app:app"]
WORKER = GUNICORN + ["--worker-class=uvicorn_worker.UvicornWorker", "starlette_app:app"]
GRANIAN = ["-m", "granian", "--interface=asgi", "--port={port}", "starlette_app:app"]
FASTAPI = ["-m", "fastapi", "run", "--port={port}", "fastapi_app.py"]
FASTAPI_DEV = ["-m", "fastapi", "dev", "--port={port}", "fastapi_app.py"]
LITESTAR = ["-m", "litestar", "--app=litestar_app:app", "run", "--port={port}"]
QUART = ["-m", "quart", "--app=quart_app", "run", "--port={port}"]
WAITRESS = ["-m", "waitress", "--listen=127.0.0.1:{port}", "--threads=9", "flask_app:app"]
FLASK = ["-m", "flask", "--app=flask_app", "run", "--port={port}"]
SANIC = ["-m", "sanic", "sanic_app:app", "--port={port}", "--single-process"]

# What becomes of the clients, and the seconds after which the server ends: from, to. Where they
# wait, it has not ended after those.
Outcome = collections.namedtuple("Outcome", "clients least most")
WAITS = Outcome("waiting", 0, 1)
CUT = Outcome("cut off", 0, 8)
ENDED = Outcome("ended", 0, 12)
# gunicorn's own default is 30 seconds.
GRACEFUL = ["--graceful-timeout=3"]
GRACEFUL_CUT = Outcome("cut off", 3, 10)

# Text that is taken out of the files, so that they have no recipe.
CALL = "    close_on_stop(channel)\n"
TORNADO = ("    for number in signal.SIGINT, signal.SIGTERM:\n"
           "        asyncio.get_running_loop().add_signal_handler(number, stop.set)\n")

# The name, the command, what is taken out: text, or a file; and both outcomes.
Row = collections.namedtuple("Row", "name command without sigint sigterm")

DEFAULTS = [
    Row("uvicorn", UVICORN + ["starlette_app:app"], CALL, WAITS, WAITS),
    Row("uvicorn with a timeout", UVICORN + ["--timeout-graceful-shutdown=1", "starlette_app:app"],
        CALL, CUT, CUT),
    Row("fastapi run", FASTAPI, CALL, WAITS, WAITS),
    Row("fastapi dev", FASTAPI_DEV, CALL, WAITS, WAITS),
    Row("hypercorn", HYPERCORN + ["starlette_app:app"], CALL, WAITS, WAITS),
    Row("quart run", QUART, CALL, WAITS, WAITS),
    Row("granian", GRANIAN, CALL, WAITS, WAITS),
    Row("daphne", ["-m", "daphne", "--port={port}", "django_asgi_app:app"], CALL, CUT, CUT),
    Row("gunicorn gthread", GTHREAD + GRACEFUL, "gunicorn.conf.py", GRACEFUL_CUT, GRACEFUL_CUT),
    Row("gunicorn gevent", GEVENT + GRACEFUL, "gunicorn.conf.py", CUT, GRACEFUL_CUT),
    Row("gunicorn UvicornWorker", WORKER + GRACEFUL + ["--config=/dev/null"], CALL,
        GRACEFUL_CUT, GRACEFUL_CUT),
    Row("waitress", WAITRESS, "", Outcome("cut off", 5, 10), CUT),
    Row("flask run", FLASK, "", CUT, CUT),
    Row("aiohttp", ["aiohttp_app.py"], "app.on_shutdown.append(stop)\n", WAITS, WAITS),
    Row("Sanic", SANIC, "@app.before_server_stop\n", WAITS, WAITS),
    Row("Tornado", ["tornado_app.py"], TORNADO, ENDED, CUT),
]

RECIPES = [Row(name, command, "", ENDED, ENDED) for name, command in [
    ("uvicorn", UVICORN + ["starlette_app:app"]),
    ("uvicorn --loop=asyncio", UVICORN + ["--loop=asyncio", "starlette_app:app"]),
    ("uvicorn --workers=2", UVICORN + ["--workers=2", "starlette_app:app"]),
    ("fastapi run", FASTAPI),
    ("fastapi dev", FASTAPI_DEV),
    ("litestar run", LITESTAR),
    ("hypercorn", HYPERCORN + ["starlette_app:app"]),
    ("hypercorn -w 0", HYPERCORN + ["-w", "0", "starlette_app:app"]),
    ("quart run", QUART),
    ("granian", GRANIAN),
    ("gunicorn gthread", GTHREAD),
    ("gunicorn gevent", GEVENT),
    ("gunicorn UvicornWorker", WORKER),
    ("waitress", ["waitress_serve.py", "flask_app"]),
    ("aiohttp", ["aiohttp_app.py"]),
    ("Sanic", SANIC),
    ("Tornado", ["tornado_app.py"]),
]]

# Of this one docs/running.rst says so.
CHEROOT = [Row("cheroot", ["-m", "cheroot", "flask_app:app", "--bind=127.0.0.1:{port}",
                           "--threads=9"], "", WAITS, CUT)]

# The other files for an event loop.
OTHERS = [Row(name[:-3], UVICORN + [name[:-3] + ":app"], "", ENDED, ENDED)
          for name in sorted(os.listdir(FOLDER)) if name.endswith("_app.py")
          if name[:-3] not in str(RECIPES) and documented(name[:-3]).startswith("uvicorn")]

# These stop as one of the above does.
ALIKE = {"uvicorn --loop=asyncio", "uvicorn --workers=2", "fastapi dev", "litestar run",
         "hypercorn -w 0", "quart run"}
UNREAD = [row for row in RECIPES if row.name not in ALIKE]

CASES = [pytest.param(row, id="%s %s" % (kind, row.name))
         for kind, rows in (("default", DEFAULTS + CHEROOT), ("recipe", RECIPES + OTHERS))
         for row in rows]

# A server whose workers end without a signal to it: by so many requests, by SIGHUP, or since this
# file was changed. What is taken out by default; and what becomes of the clients and of those who
# come after, both ways: served again, or not within some seconds.
Again = collections.namedtuple("Again", "name command how without default recipe")
LIMIT = 12


def again(name, command, how, without=CALL, recipe=("ended", True)):
    return Again(name, command, how, without, ("waiting", False), recipe)


AGAIN = [
    again("gunicorn --max-requests", GTHREAD + ["--max-requests=%d" % LIMIT], LIMIT,
          "gunicorn.conf.py"),
    again("gunicorn gevent --max-requests", GEVENT + ["--max-requests=%d" % LIMIT], LIMIT,
          "gunicorn.conf.py"),
    again("UvicornWorker --max-requests", WORKER + ["--max-requests=%d" % LIMIT], LIMIT),
    # Nobody starts it anew.
    again("uvicorn --limit-max-requests",
          UVICORN + ["--limit-max-requests=%d" % LIMIT, "starlette_app:app"], LIMIT,
          recipe=("ended", False)),
    again("hypercorn --max-requests",
          HYPERCORN + ["--max-requests=%d" % LIMIT, "starlette_app:app"], LIMIT),
    again("gunicorn --reload", GTHREAD + ["--reload"], "flask_app.py", "gunicorn.conf.py"),
    again("UvicornWorker --reload", WORKER + ["--reload"], "starlette_app.py",
          "gunicorn.conf.py"),
    again("uvicorn --reload", UVICORN + ["--reload", "starlette_app:app"], "starlette_app.py"),
    again("fastapi dev", FASTAPI_DEV, "fastapi_app.py"),
    again("litestar run --reload", LITESTAR + ["--reload"], "litestar_app.py"),
    again("hypercorn --reload", HYPERCORN + ["--reload", "starlette_app:app"],
          "starlette_app.py"),
    again("granian --reload", GRANIAN + ["--reload"], "starlette_app.py"),
    Again("flask run --debug", FLASK + ["--debug"], "flask_app.py", "", ("cut off", True), None),
    Again("quart --debug run", QUART[:3] + ["--debug"] + QUART[3:], "quart_app.py", "",
          ("cut off", True), None),
]


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
        self.thread.join(30)
        self.response.close()
        self.connection.close()


Server = collections.namedtuple("Server", "port process")


@contextlib.contextmanager
def serving(folder, command, without="", tls=False, patience=None):
    """A server that runs in `folder`, a copy of the recipes; its port and its process.

    `patience`: how long it waits for clients that do not read, in place of what is in the files.
    """
    port = free_port()
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__", "news"))
    found = not without
    for path in folder.iterdir():
        text = path.read_text()
        if without == path.name:
            found = True
            path.unlink()
        else:
            found = found or without in text
            if without:
                text = text.replace(without, "")
            if patience:
                text = re.sub(r"(seconds|timeout)( ?= ?)[35]\b", r"\1\g<2>%d" % patience, text,
                              flags=re.IGNORECASE)
            path.write_text(text.replace("8000", str(port)).replace("8080", str(port)))
    assert found
    if tls:
        subprocess.run(OPENSSL.split(), cwd=folder, check=True, stderr=subprocess.DEVNULL)
    arguments = python(*[part.format(port=port) for part in command])
    with running(arguments, port, cwd=str(folder), start_new_session=True) as process:
        try:
            yield Server(port, process)
        finally:
            # All at once, or one might start another.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def streams(port):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(Client(port))) for _ in range(STREAMS)]


@contextlib.contextmanager
def unread(port):
    """A client that does not read what it asked for: megabytes."""
    with contextlib.closing(socket.socket()) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(10)
        sock.connect(("127.0.0.1", port))
        sock.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert sock.recv(12) == b"HTTP/1.1 200"
        for _ in range(100):
            requests.post("http://127.0.0.1:%d/add" % port, b"x" * 60000, timeout=10)
        yield


def stop(process, clients, number, expected):
    """Send the signal, and assert what is expected; the outcome in words."""
    start = time.monotonic()
    process.send_signal(number)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(expected.most)
    seconds = time.monotonic() - start
    waits = expected.clients == "waiting"
    assert (process.poll() is None) == waits, "the server %s within %.1f seconds" % (
        "stopped" if waits else "did not stop", seconds)
    assert seconds >= expected.least
    for client in clients:
        client.thread.join(0 if waits else 5)
    assert {client.got for client in clients} <= {expected.clients}
    return "%s after %.2f s" % (expected.clients, seconds)


def at_once(check, cases):
    """Check all cases at once, since most of the time they wait."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for name, found in zip(cases, pool.map(check, cases)):
            print("%s: %s" % (name, found))


@pytest.mark.parametrize("row", CASES)
def test_stopping(tmp_path, row):
    def check(case):
        expected = {"SIGINT": row.sigint, "SIGTERM": row.sigterm, "unread": ENDED}[case]
        number = signal.SIGINT if case == "SIGINT" else signal.SIGTERM
        # If the others waited for that, it would be too late.
        patience = None if case == "unread" else 60
        with serving(tmp_path / case, row.command, row.without, patience=patience) as server, \
                streams(server.port) as clients, \
                unread(server.port) if case == "unread" else contextlib.nullcontext():
            return stop(server.process, clients, number, expected)

    at_once(check, ["SIGINT", "SIGTERM"] + ["unread"] * (row in UNREAD))


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
@pytest.mark.parametrize("command", [UVICORN + ["--ssl-certfile=cert", "--ssl-keyfile=key"],
                                     HYPERCORN + ["--certfile=cert", "--keyfile=key"]],
                         ids=["uvicorn", "hypercorn"])
def test_stopping_with_tls_and_a_client_that_sleeps(tmp_path, command):
    """asyncio would wait for its end of TLS, for 30 seconds."""
    with serving(tmp_path / "app", command + ["starlette_app:app"], tls=True) as (port, process):
        context = ssl.create_default_context(cafile=tmp_path / "app" / "cert")
        with socket.create_connection(("127.0.0.1", port), 10) as sock, \
                context.wrap_socket(sock, server_hostname="127.0.0.1") as client:
            client.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
            stop(process, [], signal.SIGTERM, Outcome("ended", 0, 8))


def answers(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        return connection.getresponse().status == 200
    return False


def bring_to_its_end(port, how, folder):
    """The path at which new clients are answered after that."""
    if isinstance(how, int):
        for _ in range(how):
            try:
                requests.post("http://127.0.0.1:%d/add" % port, b"x", timeout=1)
            except requests.RequestException:
                break       # nobody is served now
        return "/events"
    text = (folder / how).read_text()
    (folder / how).write_text(text.replace('"/events"', '"/changed"'))
    return "/changed"


@pytest.mark.parametrize("row", AGAIN, ids=[row.name for row in AGAIN])
def test_recycling(tmp_path, row):
    def check(case):
        expected = getattr(row, case)
        folder, without = tmp_path / case, row.without if case == "default" else ""
        with serving(folder, row.command, without) as (port, _), streams(port) as clients:
            start = time.monotonic()
            found = "waiting", None
            while found != expected or not expected[1]:
                if time.monotonic() > start + (20 if expected[1] else 2.5):
                    break
                # A server that looks for changes may not have begun to look, and gets another one.
                if found[0] == "waiting":
                    path = bring_to_its_end(port, row.how, folder)
                end = time.monotonic() + 2
                while time.monotonic() < end and found != expected:
                    served = answers(port, path)
                    found = " and ".join(sorted({client.got for client in clients})), served
            seconds = time.monotonic() - start
        assert found == expected
        return "%s after %.2f s" % (expected[0], seconds)

    at_once(check, ["default"] + ["recipe"] * bool(row.recipe))
