"""Servers for threads: each a process, with examples/frameworks/wsgi_app.py.

Each has a release for Python 2.7 too: gunicorn 19.10 (with futures), waitress 1.4, cheroot 8.6,
gevent 22.10, and pyuwsgi, which is compiled there.
"""

import contextlib
import os
import socket
import threading
import time

import psutil
import pytest
import requests

import framework_checks
from framework_checks import Row, added, serving
from loopback import Client, serving as serving_script, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
MANY = 50
GEVENT_POOL = 10    # gevent looks names up in threads of its own, which come and go


def row(name, command, holds=None):
    """`holds`: how many streams at once; None: MANY are tried."""
    made = Row(name, "wsgi_app", command, kind="stream")
    made.holds = holds
    return made


ROWS = [
    row("wsgiref", "wsgiref"),
    row("wsgiref, gevent's threads", "wsgiref-gevent"),
    row("gunicorn sync", "gunicorn --timeout=0 wsgi_app:app", 1),
    row("gunicorn gthread", "gunicorn --threads=4 wsgi_app:app", 4),
    row("gunicorn gevent", "gunicorn --worker-class=gevent wsgi_app:app"),
    row("waitress", "waitress-serve --threads=4 wsgi_app:app", 4),
    row("cheroot", "cheroot --threads=4 wsgi_app:app", 4),
    row("uWSGI", "uwsgi --threads=4 --module=wsgi_app:app", 4),
    row("uWSGI http", "uwsgi-http --threads=4 --module=wsgi_app:app", 4),
]


@pytest.fixture(scope="module", params=ROWS, ids=[each.name for each in ROWS])
def process(request):
    with serving(request.param, "harness", HERE) as server:
        yield server


@pytest.fixture
def server(process):
    """The server, without streams from before."""
    process.control("forget")
    return process


class TestStream(framework_checks.Stream):
    pass


@contextlib.contextmanager
def held(server, number):
    """So many streams at once: their names, and clients that had the first block."""
    names, clients = [], []
    try:
        for _ in range(number):
            names.append(server.name(keepalive=0.1))
            clients.append(server.client())
        yield names, clients
    finally:
        for client in clients:
            client.close()


def settled(server):
    """How many threads and files its processes have open, once that stays so for half a second."""
    root = psutil.Process(server.process.pid)
    seen = [time.time(), None]

    def same():
        processes = [root] + root.children(recursive=True)
        now = (sum(process.num_threads() for process in processes),
               sum(process.num_fds() for process in processes))
        if now != seen[1]:
            seen[:] = time.time(), now
        return time.time() - seen[0] > 0.5

    wait_for(same, 20)
    return seen[1]


def test_streams_at_once(server):
    holds = server.row.holds
    threads = settled(server)[0] if "gevent" in server.row.name else None
    with held(server, holds or MANY) as (names, clients):
        for index in 0, -1:
            server.control("add", stream=names[index], text=str(index))
            while not clients[index].read_until(b"\n\n").endswith(added(str(index)) + b"\n"):
                pass
        if threads:
            assert settled(server)[0] <= threads + GEVENT_POOL
        if holds:
            with contextlib.closing(socket.create_connection(server.address, 10)) as sock:
                sock.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                sock.settimeout(1)
                with pytest.raises(socket.timeout):
                    sock.recv(1)
                clients.pop().close()
                sock.settimeout(10)
                assert sock.recv(1)


def test_nothing_left_behind(server):
    # A pool starts its threads as they are needed.
    with held(server, server.row.holds or 8):
        pass
    threads, files = settled(server)
    for _ in range(50):
        server.name(keepalive=0.05)
        server.client().close()
    wait_for(lambda: server.control("state") == 0)
    now = settled(server)
    assert now[0] <= threads + (GEVENT_POOL if "gevent" in server.row.name else 0)
    assert now[1] <= files


# Without dnspython for names, which takes trio, and fails.
EVENTLET = """
import os, sys
os.environ["EVENTLET_NO_GREENDNS"] = "yes"
import eventlet
eventlet.monkey_patch()
import sse
from eventlet import wsgi

channel = sse.Channel()


def app(environ, start_response):
    if environ["PATH_INFO"] == "/called":
        return channel(environ, start_response)
    if environ["PATH_INFO"] == "/framework":
        start_response("200 OK", list(sse.HEADERS))
        environ["eventlet.minimum_write_chunk_size"] = 0
        return channel.open(environ).stream()
    channel.add_message("added", "1")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(len(channel.streams)).encode()]


wsgi.server(eventlet.listen(("127.0.0.1", int(sys.argv[1]))), app)
"""


def test_eventlet():
    """It collects what it is given, unless the environ says otherwise, as an `Sse` makes it."""
    with serving_script("-c", EVENTLET, "{port}") as process:
        def add():
            return requests.get(process.url + "/add", timeout=10).text

        for path in "/called", "/framework":
            with Client(process.url + path) as client:
                assert client.read_until(b"\n\n").startswith(b"retry: ")
                assert add() == "1"
                assert client.read_until(b"\n\n") == added("1") + b"\n"
            wait_for(lambda: add() == "0")


@pytest.mark.parametrize("command, keepalive, lives", [
    ("gunicorn --timeout=2 wsgi_app:app", 0.2, False),
    ("gunicorn --timeout=2 --threads=2 wsgi_app:app", 0.2, True),
    ("gunicorn --timeout=2 --worker-class=gevent wsgi_app:app", 0.2, True),
    ("waitress-serve --channel-timeout=1 --cleanup-interval=1 wsgi_app:app", 60, True),
    ("cheroot --timeout=1 wsgi_app:app", 60, True),
    ("uwsgi --threads=2 --socket-timeout=1 --module=wsgi_app:app", 60, True),
    ("uwsgi-http --threads=2 --http-timeout=1 --module=wsgi_app:app", 0.2, True),
    ("uwsgi-http --threads=2 --http-timeout=1 --module=wsgi_app:app", 60, False),
    ("uwsgi-http --threads=2 --harakiri=1 --module=wsgi_app:app", 0.2, False),
])
def test_timeouts(command, keepalive, lives):
    """After 3.5 seconds a stream is still there, or a timeout of the server has ended it."""
    def close():
        try:
            server.control("close", stream=name, text="late")
        except (requests.RequestException, AssertionError):
            pass        # of a worker that was killed

    with serving(row("", command), "harness", HERE) as server:
        name = server.name(keepalive=keepalive)
        timer = threading.Timer(3.5, close)
        with server.client() as client:
            timer.start()
            try:
                received = client.rest()
            except requests.RequestException:
                received = b""
        timer.cancel()
    assert received.endswith(added("late") + b"\n") == lives
