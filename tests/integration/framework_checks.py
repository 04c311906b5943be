# -*- coding: utf-8 -*-
"""What holds for the applications of examples/frameworks, under whatever server.

`Row` is a line of a table: an application and the command of its server. The classes are
for test modules, which have a fixture `server` that goes through their table.
"""

from __future__ import unicode_literals

import contextlib
import itertools
import json
import os
import re
import socket
import threading
import time

import pytest
import requests
import six

import sse
from loopback import Client, EXAMPLES, accepts, environment, free_port, python, running, wait_for

FOLDER = os.path.join(EXAMPLES, "frameworks")
TYPE = re.compile(r"text/event-stream(; ?charset=utf-8)?\Z", re.IGNORECASE)

# When a disconnected client is noticed.
AT_ONCE = "at once"
WRITES = "after a write or two"
POLLED = "within a second"
COLLECTED = "at a garbage collection"

# What a client gets where a producer fails, after what was added before.
CUT = "no proper end"
COMPLETE = "a proper end"
SILENCE = "nothing more: the connection stays open"


class Row(object):
    """An application under a server.

    `command` is that of its first line, unless there is another. `waiting` and `blocked`: when a
    client that disconnects is noticed while its stream waits, and while the server is blocked
    sending to it. `buffers`: it takes megabytes for a slow client before it is. `failure`:
    what a client gets where a producer fails.
    """

    def __init__(self, name, application, command=None, waiting=AT_ONCE, blocked=AT_ONCE,
                 buffers=False, failure=CUT, kind="astream", **variables):
        self.name = name
        self.application = application
        self.command = command or documented(application)
        self.waiting = waiting
        self.blocked = blocked
        self.buffers = buffers
        self.failure = failure
        self.kind = kind
        self.variables = variables


def documented(application):
    """The command in the first line of an application, which serves it."""
    with open(os.path.join(FOLDER, application + ".py")) as file:
        return file.readline().strip().strip('"').split(": ", 1)[1]


class Server(object):
    def __init__(self, row, port, control_port, process):
        self.row = row
        self.process = process
        self.url = "http://127.0.0.1:%d" % port
        self.address = "127.0.0.1", port
        self._control_url = "http://127.0.0.1:%d/" % control_port
        self._names = ("stream%d" % number for number in itertools.count())

    def control(self, action, **query):
        response = requests.get(self._control_url + action, params=query, timeout=120)
        assert response.ok, "%s %s: %s" % (action, query, response.text)
        return response.json()

    def name(self, **asked):
        """The name of the stream that is opened next, with these arguments."""
        name = next(self._names)
        self.control("next", name=name, kind=self.row.kind, **asked)
        return name

    def client(self, timeout=60, **options):
        """A client that has had the first block."""
        client = Client(self.url + "/events", timeout=timeout, **options)
        client.first = client.read_until(b"\n\n")
        return client

    def post(self, text):
        response = requests.post(self.url + "/add", data=text.encode("utf-8"), timeout=60)
        assert response.status_code == 204

    @contextlib.contextmanager
    def unread(self, name):
        """A socket on which the stream of this name was asked for, and nothing is read."""
        with contextlib.closing(socket.socket()) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(60)
            sock.connect(self.address)
            sock.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            wait_for(lambda: self.control("state", stream=name), 60)
            yield sock

    def gone(self, name):
        """Whether the stream is closed, and out of the channel's."""
        state = self.control("state", stream=name)
        assert state, "%s was never opened" % name
        return state["closed"] and not state["open"]

    def noticed(self, name, when):
        """Wait until the client of a stream is noticed to be disconnected; give the seconds."""
        start = time.time()
        if when in (WRITES, COLLECTED):
            with pytest.raises(AssertionError):
                wait_for(lambda: self.gone(name), 1)
        if when == COLLECTED:
            self.control("collect")
        if when == WRITES:
            # TCP answers the first one with a reset; some servers write in another thread.
            for _ in range(3):
                if not self.gone(name):
                    self.control("add", text="more")
                    try:
                        wait_for(lambda: self.gone(name), 1)
                    except AssertionError:
                        pass
        wait_for(lambda: self.gone(name), 30)
        return time.time() - start


@contextlib.contextmanager
def serving(row, module, folder):
    """The application of `row` under `module`, a harness, in `folder`; its `Server`."""
    port, control_port = free_port(), free_port()
    program, arguments = (row.command + " ").split(" ", 1)
    if six.PY2:     # before waitress 2.0
        arguments = arguments.replace("--channel-request-lookahead=1", "")
    arguments = arguments.replace(row.application + ":app", module + ":app").split()
    command = python(*(SERVERS[program](port) + arguments))
    variables = dict(row.variables, CONTROL_PORT=str(control_port), PORT=str(port),
                     FLASK_RUN_PORT=str(port), APPLICATION=row.application)
    with running(command, port, cwd=folder, env=environment(**variables)) as process:
        wait_for(lambda: accepts(control_port), 60)
        server = Server(row, port, control_port, process)
        try:
            yield server
        finally:
            # With open streams it would wait for them.
            try:
                server.control("close")
            except requests.RequestException:
                pass        # the server killed its worker


UWSGI = ["-c", "import sys, pyuwsgi; pyuwsgi.run(sys.argv[1:])", "--die-on-term"]
SERVERS = {
    "wsgiref": lambda port: ["harness.py"],
    "wsgiref-gevent": lambda port: ["-m", "gevent.monkey", "harness.py"],
    "cheroot": lambda port: ["-m", "cheroot", "--bind=127.0.0.1:%d" % port],
    "uwsgi": lambda port: UWSGI + ["--http-socket=127.0.0.1:%d" % port],
    "uwsgi-http": lambda port: UWSGI + ["--http=127.0.0.1:%d" % port, "--master", "--lazy-apps"],
    "waitress-serve": lambda port: ["-m", "waitress", "--listen=127.0.0.1:%d" % port],
    "uvicorn": lambda port: ["-m", "uvicorn", "--port=%d" % port],
    "hypercorn": lambda port: ["-m", "hypercorn", "--bind=127.0.0.1:%d" % port],
    "granian": lambda port: ["-m", "granian", "--interface=asgi", "--port=%d" % port],
    "daphne": lambda port: ["-m", "daphne", "--port=%d" % port],
    "gunicorn": lambda port: ["-m", "gunicorn.app.wsgiapp", "--bind=127.0.0.1:%d" % port,
                              "--graceful-timeout=1"],
    "flask": lambda port: ["-m", "flask"],
    "sanic": lambda port: ["-m", "sanic", "--port=%d" % port],
    "python": lambda port: ["asgi_harness.py"],
}


def added(text, event="added"):
    return ("event: %s\ndata: %s\n" % (event, text)).encode("utf-8")


def soon(action, tries=5):
    """The least time of an action is under half a second: a busy machine delays some."""
    for _ in range(tries):
        start = time.time()
        action()
        if time.time() - start < 0.5:
            return
    raise AssertionError("not within half a second")


class Stream(object):
    """What one client gets, with no more than one stream at once."""

    def test_headers(self, server):
        # Clients of all kinds offer it; compressed events would not come one by one.
        with server.client(headers={"Accept-Encoding": "gzip"}) as client:
            headers = client.response.headers
            assert client.response.status_code == 200
            # A header that came twice would show here with a comma.
            assert TYPE.match(headers["Content-Type"])
            for name, value in sse.HEADERS[1:]:
                assert headers[name] == value
            assert "Content-Length" not in headers
            assert headers.get("Content-Encoding", "identity") == "identity"

    def test_first_bytes_at_once(self, server):
        soon(lambda: server.client().close())

    def test_event_from_a_thread(self, server):
        with server.client() as client:
            def publish():
                server.control("add", text="é")
                assert client.read_until(b"\n\n").startswith(added("é"))

            for _ in range(3):
                soon(publish)

    def test_keepalives(self, server):
        server.name(keepalive=0.2)
        with server.client(timeout=10) as client:
            start = time.time()
            for _ in range(3):
                assert client.read_until(b"\n") == b": \n"
            assert time.time() - start > 0.4

    @pytest.mark.parametrize("event", [{}, {"text": "last"}], ids=["silent", "after an event"])
    def test_close(self, server, event):
        name = server.name(keepalive=60)
        with server.client(timeout=10) as client:
            server.control("close", stream=name, **event)
            # Without a proper end this raises.
            assert client.rest() == (added("last") + b"\n" if event else b"")
        wait_for(lambda: server.gone(name))

    def test_head(self, server):
        name = server.name()
        response = requests.head(server.url + "/events", timeout=60)
        assert response.status_code in (200, 404, 405)
        if response.status_code == 200:
            assert TYPE.match(response.headers["Content-Type"])
            wait_for(lambda: server.gone(name))
        else:
            assert server.control("state", stream=name) is None
            server.client().close()     # it takes the name


class Events(Stream):
    """What clients get that reconnect, and of other requests and producers."""

    def test_event_of_another_request(self, server):
        with server.client() as client:
            def publish():
                server.post("grüß\u2028dich\r\n")
                block = client.read_until(b"\n\n").decode("ascii").split("\n")
                assert block[0] == "event: news"
                assert json.loads(block[1][len("data: "):]) == "grüß\u2028dich\r\n"

            for _ in range(3):
                soon(publish)

    def test_reconnect(self, server):
        with server.client() as client:
            server.control("add", text="had", id="é-1")
            assert client.read_until(b"\n\n").endswith("id: é-1\n\n".encode("utf-8"))
        for text in ("one", "two"):
            server.control("add", text=text)
        with server.client(headers={"Last-Event-ID": "é-1".encode("utf-8")}) as client:
            server.control("add", text="three")
            for text in ("one", "two", "three"):
                assert client.read_until(b"\n\n").startswith(added(text))
        with server.client(headers={"Last-Event-ID": "unknown"}) as client:
            assert client.read_until(b"\n\n").startswith(b"event: reset\n")

    def test_reconnect_by_the_query(self, server):
        """Some polyfills send the id there; the header counts before it."""
        query = "&lastEventId=7&x=%ff;&lastEventId=%C3%A9+%2B%252B&lastEventId=&y"
        for text, event_id in ("had", "é +%2B"), ("one", "1"), ("two", "2"):
            server.control("add", text=text, id=event_id)
        with server.client(params=query) as client:
            for text in ("one", "two"):
                assert client.read_until(b"\n\n").startswith(added(text))
        with server.client(params=query, headers={"Last-Event-ID": "1"}) as client:
            assert client.read_until(b"\n\n").startswith(added("two"))

    def test_producer_that_raises(self, server):
        server.name(producer="raises")
        with server.client(timeout=2 if server.row.failure == SILENCE else 60) as client:
            assert client.read_until(b"\n\n") == added("one", "produced") + b"\n"
            if server.row.failure == COMPLETE:
                assert client.rest() == b""
            else:
                with pytest.raises(requests.RequestException) as caught:
                    client.rest()
                assert ("timed out" in str(caught.value)) == (server.row.failure == SILENCE)


class Clients(object):
    """What clients do to the server, and to each other."""

    def test_client_disconnects_while_its_stream_waits(self, server):
        name = server.name(keepalive=60)
        with server.client():
            assert not server.gone(name)
        server.noticed(name, server.row.waiting)

    def test_client_disconnects_while_the_server_is_blocked(self, server):
        name = server.name(keepalive=60)
        with server.unread(name):
            blocked = server.control("fill", stream=name)
            assert blocked or server.row.buffers
            assert not server.gone(name)
        server.noticed(name, server.row.blocked)

    def test_slow_client_hurts_nobody_else(self, server):
        fast_name = server.name()
        with server.client() as fast:
            received = []
            reader = threading.Thread(target=lambda: received.append(
                b"".join(fast.response.iter_content(65536))))
            reader.start()
            slow_name = server.name()
            with server.unread(slow_name) as slow:
                most = 60 if server.row.buffers else 400
                count = server.control("flood", fast=fast_name, slow=slow_name, most=most)
                if not server.row.buffers:
                    assert count < most
                    wait_for(lambda: server.gone(slow_name))
                with server.client() as other:
                    soon(lambda: (server.control("add", text="still there"),
                                  other.read_until(added("still there"))))
                if server.row.buffers:
                    server.control("close", stream=slow_name)
                # What was pending is sent, with nothing left out, and a proper end.
                answer = b""
                while not answer.endswith(b"\r\n0\r\n\r\n"):
                    piece = slow.recv(65536)
                    if not piece:
                        assert b"chunked" not in answer
                        break
                    answer += piece
                numbers = re.findall(br"data: (\d+) x", answer)
                assert [int(number) for number in numbers] == list(range(len(numbers)))
                assert 0 < len(numbers) <= count
            assert server.gone(slow_name) and not server.gone(fast_name)
            server.control("close", stream=fast_name)
            reader.join(60)
            assert received, "the stream of the fast client did not end in 60 s"
            numbers = re.findall(br"data: (\d+) x", received[0])
            assert [int(number) for number in numbers] == list(range(count))

    def test_client_of_a_producer_disconnects(self, server):
        name = server.name(producer="waits", keepalive=0.2)
        notes = len(server.control("notes"))
        with server.client() as client:
            client.read_until(added("one", "produced") + b"\n")
            assert len(server.control("notes")) == notes
        wait_for(lambda: len(server.control("notes")) > notes)
        assert server.gone(name)

    # The last one: nothing can be opened after it.
    def test_close_of_the_channel(self, server):
        with server.client() as one, server.client() as two:
            server.control("close", text="last")
            for client in (one, two):
                assert client.rest().startswith(added("last"))
        assert server.control("state") == 0
        # A client that reconnects is told when to try again, and gets an end.
        assert server.client().rest() == b""
