"""Streams out of real servers: each a process, with the application of servers_app.py.

Each server here has a release for Python 2.7 too: gunicorn 19.10 (with futures), waitress 1.4,
cheroot 8.6, gevent 22.10, and pyuwsgi, which is compiled there.
"""

import collections
import contextlib
import os
import socket
import time

import pytest
import requests

import sse
from loopback import Client, accepts, environment, free_port, python, running, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
FIRST = b"retry: 2000\n\n"
COMMENT = b": \n"
TERMINATOR = b"0\r\n\r\n"
ANY = 50
GEVENT_POOL = 10    # gevent looks names up in threads of its own, which come and go

# How many streams it holds at once is what `command` says, or ANY number, of which so many
# are tried. Not `chunked`, the body ends where the connection does.
Kind = collections.namedtuple("Kind", "name package command holds chunked")

WSGIREF = ["servers_app.py", "{port}"]
GUNICORN = ["-m", "gunicorn.app.wsgiapp", "servers_app:application", "--bind=127.0.0.1:{port}",
            "--graceful-timeout=1"]
WAITRESS = ["-m", "waitress", "--listen=127.0.0.1:{port}"]
CHEROOT = ["-m", "cheroot", "servers_app:application", "--bind=127.0.0.1:{port}"]
UWSGI = ["-c", "import sys, pyuwsgi; pyuwsgi.run(sys.argv[1:])", "--module=servers_app",
         "--die-on-term"]
UWSGI_HTTP = UWSGI + ["--http=127.0.0.1:{port}", "--master", "--lazy-apps"]

KINDS = [
    Kind("wsgiref", None, WSGIREF + ["application"], ANY, False),
    Kind("wsgiref.validate", None, WSGIREF + ["validated"], ANY, False),
    Kind("wsgiref, gevent's threads", "gevent",
         ["-m", "gevent.monkey"] + WSGIREF + ["application"], ANY, False),
    Kind("gunicorn sync", "gunicorn", GUNICORN + ["--timeout=0"], 1, True),
    Kind("gunicorn gthread", "gunicorn", GUNICORN + ["--threads=4"], 4, True),
    Kind("gunicorn gevent", "gunicorn", GUNICORN + ["--worker-class=gevent"], ANY, True),
    Kind("waitress", "waitress", WAITRESS + ["--threads=4", "servers_app:application"], 4, True),
    Kind("cheroot", "cheroot", CHEROOT + ["--threads=4"], 4, True),
    Kind("uWSGI", "pyuwsgi", UWSGI + ["--http-socket=127.0.0.1:{port}", "--threads=4"], 4, False),
    Kind("uWSGI http", "pyuwsgi", UWSGI_HTTP + ["--threads=4"], 4, False),
]


class Server(object):
    def __init__(self, kind, port, control_port, process):
        self.kind = kind
        self.port = port
        self.control_port = control_port
        self.process = process

    def url(self, path):
        return "http://127.0.0.1:%d%s" % (self.port, path)

    def control(self, action, stream="", text=""):
        response = requests.get(
            "http://127.0.0.1:%d/%s" % (self.control_port, action), timeout=10,
            params={"stream": stream, "text": text})
        response.raise_for_status()
        return response.json()

    def stream(self, path):
        """A client that has had the first block."""
        client = Client(self.url(path))
        assert client.read_until(b"\n\n") == FIRST
        return client

    def request(self, method, path):
        """A socket on which the request was sent."""
        sock = socket.create_connection(("127.0.0.1", self.port), 10)
        sock.sendall(("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                      % (method, path)).encode("ascii"))
        return contextlib.closing(sock)

    def open(self):
        """How many threads and file descriptors its processes have."""
        psutil = pytest.importorskip("psutil")
        root = psutil.Process(self.process.pid)
        processes = [root] + root.children(recursive=True)
        return (sum(process.num_threads() for process in processes),
                sum(process.num_fds() for process in processes))


@contextlib.contextmanager
def serving(kind):
    if kind.package:
        pytest.importorskip(kind.package)
    port, control_port = free_port(), free_port()
    command = python(*[part.format(port=port) for part in kind.command])
    with running(command, port, cwd=HERE,
                 env=environment(CONTROL_PORT=str(control_port))) as process:
        wait_for(lambda: accepts(control_port))
        yield Server(kind, port, control_port, process)


@pytest.fixture(scope="module", params=KINDS, ids=[kind.name for kind in KINDS])
def process(request):
    with serving(request.param) as server:
        yield server


@pytest.fixture
def server(process):
    """The server, without streams from before."""
    process.control("forget")
    return process


def added(text):
    return ("event: added\ndata: %s\n\n" % text).encode("ascii")


def closed(server, path):
    return lambda: server.control("closed", path)


def test_headers(server):
    with server.stream("/headers") as client:
        assert client.response.status_code == 200
        headers = client.response.headers
        # A header that comes twice has both values here, with a comma.
        for name, value in sse.HEADERS:
            assert headers[name] == value
        assert headers.get("Connection", "close").lower() in ("close", "keep-alive")
        assert "Content-Length" not in headers
        assert ("Transfer-Encoding" in headers) == server.kind.chunked


def test_first_bytes_at_once(server):
    start = time.time()
    with server.stream("/first"):
        assert time.time() - start < 1


def test_first_bytes_at_once_where_nothing_waits(server):
    start = time.time()
    with Client(server.url("/empty?empty=yes&keepalive=60")) as client:
        assert client.read_until(b"\n") == COMMENT
        assert time.time() - start < 1


def test_event_from_another_thread(server):
    with server.stream("/event") as client:
        for text in "123":
            # The next comment, 15 seconds away, is not what brings the event.
            start = time.time()
            server.control("add", "/event", text)
            assert client.read_until(b"\n\n") == added(text)
            assert time.time() - start < 0.5


def test_keepalives(server):
    with server.stream("/idle?keepalive=0.4") as client:
        start = time.time()
        assert client.read_until(b"\n") == COMMENT
        assert client.read_until(b"\n") == COMMENT
        assert 0.6 < time.time() - start < 3


def test_close_ends_the_response(server):
    with server.stream("/close") as client:
        server.control("close", "/close", "last")
        # Without the terminator of a chunked body this raises.
        assert client.rest() == added("last")


def test_client_that_leaves_is_noticed(server):
    with server.stream("/leave"):
        assert not closed(server, "/leave")()
    # It takes two writes: TCP has the first one answered with a reset. waitress writes in
    # another thread, and may take a third.
    for _ in range(3):
        assert not closed(server, "/leave")()
        server.control("add", "/leave", "more")
        try:
            wait_for(closed(server, "/leave"), 1)
            break
        except AssertionError:
            pass
    assert closed(server, "/leave")()


def test_client_that_leaves_is_noticed_by_keepalives(server):
    server.stream("/silent?keepalive=0.1").close()
    wait_for(closed(server, "/silent"))


def test_head(server):
    with server.request("HEAD", "/head") as sock:
        head, body = b"".join(iter(lambda: sock.recv(4096), b"")).split(b"\r\n\r\n", 1)
    if server.kind.name == "waitress" and b"chunked" in head:
        assert body.startswith(TERMINATOR)      # its own fault, before it closes
        body = body[len(TERMINATOR):]
    assert body == b""
    assert b"200 OK" in head.split(b"\r\n")[0]
    for name, value in sse.HEADERS:
        assert ("\r\n%s: %s\r\n" % (name, value)).encode("ascii") in head + b"\r\n"
    assert closed(server, "/head")()


def test_channel(server):
    def publish(text):
        return server.control("publish", text=text)

    def published(client):
        head, event_id = client.read_until(b"\n\n").split(b"\nid: ")
        return head, event_id.strip()

    def nobody():
        return publish("to nobody") == 0

    with Client(server.url("/channel")) as client:
        client.read_until(b"\n\n")
        assert publish("one") == 1
        head, last_id = published(client)
        assert head == b"event: published\ndata: one"
    publish("two")
    wait_for(nobody)
    with Client(server.url("/channel"), headers={"Last-Event-ID": last_id}) as client:
        assert client.read_until(b"\n\n").startswith(b"retry: ")
        assert published(client)[0] == b"event: published\ndata: two"
    wait_for(nobody)


@contextlib.contextmanager
def held(server, number):
    """So many streams at once; each has had its first block."""
    clients = []
    try:
        for index in range(number):
            clients.append(server.stream("/held%d?keepalive=0.1" % index))
        yield clients
    finally:
        for client in clients:
            client.close()


def settled(server):
    """What `Server.open` gives, once that has been the same for a second."""
    seen = [(time.time(), server.open())]

    def same():
        now = server.open()
        if now != seen[0][1]:
            seen[0] = time.time(), now
        return time.time() - seen[0][0] > 1

    wait_for(same, 20)
    return seen[0][1]


def test_streams_at_once(server):
    greenlets = "gevent" in server.kind.name
    threads = settled(server)[0] if greenlets else None
    with held(server, server.kind.holds) as clients:
        if server.kind.holds == ANY:
            for index, text in (0, "first"), (ANY - 1, "last"):
                server.control("add", "/held%d" % index, text)
                client = clients[index]
                while not client.read_until(b"\n\n").endswith(added(text)):
                    pass
            if greenlets:
                assert server.open()[0] <= threads + GEVENT_POOL
            return
        with server.request("GET", "/waits") as sock:
            sock.settimeout(1)
            with pytest.raises(socket.timeout):
                sock.recv(1)
            clients.pop().close()
            sock.settimeout(10)
            assert sock.recv(1)


def test_nothing_left_behind(server):
    # A pool starts its threads as they are needed.
    with held(server, min(server.kind.holds, 8)):
        pass
    threads, descriptors = settled(server)
    paths = ["/drop%d" % index for index in range(50)]
    for path in paths:
        server.stream(path + "?keepalive=0.05").close()
    wait_for(lambda: all(server.control("closed", path) for path in paths))
    now = settled(server)
    assert now[0] <= threads + (GEVENT_POOL if "gevent" in server.kind.name else 0)
    assert now[1] <= descriptors


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


@pytest.mark.parametrize("path", ["/called", "/framework"])
def test_eventlet(path):
    """It collects what it is given, unless the environ says otherwise, as an `Sse` makes it."""
    pytest.importorskip("eventlet")
    port = free_port()
    url = "http://127.0.0.1:%d" % port

    def add():
        return requests.get(url + "/add", timeout=10).text

    with running(python("-c", EVENTLET, str(port)), port):
        with Client(url + path) as client:
            assert client.read_until(b"\n\n").startswith(b"retry: ")
            assert add() == "1"
            assert client.read_until(b"\n\n") == added("1")
        wait_for(lambda: add() == "0")


@pytest.mark.parametrize("command, keepalive, lives", [
    (GUNICORN + ["--timeout=2"], 0.2, False),
    (GUNICORN + ["--timeout=2", "--threads=2"], 0.2, True),
    (GUNICORN + ["--timeout=2", "--worker-class=gevent"], 0.2, True),
    (WAITRESS + ["--channel-timeout=1", "--cleanup-interval=1", "servers_app:application"],
     60, True),
    (CHEROOT + ["--timeout=1"], 60, True),
    (UWSGI + ["--http-socket=127.0.0.1:{port}", "--threads=2", "--socket-timeout=1"], 60, True),
    (UWSGI_HTTP + ["--threads=2", "--http-timeout=1"], 0.2, True),
    (UWSGI_HTTP + ["--threads=2", "--http-timeout=1"], 60, False),
    (UWSGI_HTTP + ["--threads=2", "--harakiri=1"], 0.2, False),
])
def test_timeouts(command, keepalive, lives):
    """After four seconds a stream is still there, or a timeout of the server has ended it."""
    package = next(name for name in ("gunicorn", "waitress", "cheroot", "pyuwsgi")
                   if name in command[1])
    with serving(Kind("", package, command, 0, False)) as server, \
            server.stream("/long?keepalive=%s" % keepalive) as client:
        time.sleep(4)
        try:
            server.control("add", "/long", "late")
            received = client.read_until(added("late"))
        except (requests.RequestException, AssertionError):
            received = b""
    assert received.endswith(added("late")) == lives
