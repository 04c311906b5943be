# -*- coding: utf-8 -*-
"""Small applications in web frameworks, each in the process of a real server."""

from __future__ import unicode_literals

import contextlib
import json
import os
import re
import time

import pytest
import requests
import six
from six.moves import http_client
from loopback import Client, EXAMPLES, free_port, python, running, wait_for

FOLDER = os.path.join(EXAMPLES, "frameworks")
HERE = os.path.dirname(os.path.abspath(__file__))

# What the application is written for, and the server that runs it.
FRAMEWORKS = {
    "wsgi": "waitress",
    "flask": "waitress",
    "django": "waitress",
    "bottle": "waitress",
    "falcon": "waitress",
    "pyramid": "waitress",
}
if not six.PY2:
    FRAMEWORKS["starlette"] = "uvicorn"

TYPE = re.compile(r"text/event-stream(; ?charset=utf-8)?\Z", re.IGNORECASE)


def serving(framework, folder, application, factory=False):
    """The application, or what makes it, in a server of its own; and its URL."""
    server = FRAMEWORKS[framework]
    pytest.importorskip(server)
    if framework != "wsgi":
        pytest.importorskip(framework)
    port = free_port()
    if server == "uvicorn":
        options = ["--port=%d" % port, "--timeout-graceful-shutdown=1"] + ["--factory"] * factory
    else:
        options = ["--listen=127.0.0.1:%d" % port, "--threads=8"] + ["--call"] * factory
        if not six.PY2:     # waitress 2.0: it looks whether the client is still there
            options.append("--channel-request-lookahead=1")
    command = python("-m", server, *(options + [application]))
    return running(command, port, cwd=folder), "http://127.0.0.1:%d" % port


@pytest.fixture(params=sorted(FRAMEWORKS))
def framework(request):
    return request.param


@pytest.fixture
def url(framework):
    process, url = serving(framework, FOLDER, "%s_app:app" % framework)
    with process:
        yield url


def add(url, text):
    """Publish, and tell how many streams there are after it."""
    response = requests.post(url + "/add", data=text.encode("utf-8"), timeout=10)
    response.raise_for_status()
    return int(response.text)


def no_stream(url):
    return add(url, "to nobody") == 0


def test_headers(url):
    # Clients of all kinds offer it; compressed events would not come one by one.
    with Client(url + "/events", headers={"Accept-Encoding": "gzip"}) as client:
        response = client.response
        assert response.status_code == 200
        # A header that came twice would show here with a comma.
        assert TYPE.match(response.headers["Content-Type"])
        assert response.headers["Cache-Control"] == "no-store, no-transform"
        assert response.headers["X-Accel-Buffering"] == "no"
        assert "Content-Length" not in response.headers
        assert response.headers.get("Content-Encoding", "identity") == "identity"


def test_first_bytes_come_at_once(url):
    # The application has answered before: what it loads at first is not what is measured.
    add(url, "to nobody")
    start = time.time()
    with Client(url + "/events", headers={"Accept-Encoding": "gzip"}) as client:
        assert client.read_until(b"\n\n") == b"retry: 2000\n\n"
        assert time.time() - start < 1


def test_event_of_another_request_comes_at_once(url):
    with Client(url + "/events", headers={"Accept-Encoding": "gzip"}) as client:
        client.read_until(b"\n\n")
        seconds = []
        for text in ["one", "grüß\u2028dich", "three\nlines\r\n"]:
            start = time.time()
            assert add(url, text) == 1
            block = client.read_until(b"\n\n").decode("utf-8")
            seconds.append(time.time() - start)
            event, data = block.rstrip("\n").split("\n")
            assert event == "event: news"
            assert json.loads(data[len("data: "):]) == text
        # Not with the next keepalive. A busy machine may delay one of them, but not all.
        assert min(seconds) < 0.5


def test_events_go_to_all(url):
    with Client(url + "/events") as one, Client(url + "/events") as two:
        for client in (one, two):
            client.read_until(b"\n\n")
        assert add(url, "hello") == 2
        for client in (one, two):
            assert client.read_until(b"\n\n") == b'event: news\ndata: "hello"\n\n'


def test_client_that_leaves_is_noticed(url):
    with Client(url + "/events") as client:
        client.read_until(b"\n\n")
        assert add(url, "hello") == 1
        client.read_until(b"\n\n")
    wait_for(lambda: no_stream(url))


def test_head_leaves_no_stream(url):
    connection = http_client.HTTPConnection(url[len("http://"):], timeout=10)
    with contextlib.closing(connection):
        connection.request("HEAD", "/events")
        response = connection.getresponse()
        assert response.status in (200, 405)
        if response.status == 200:
            assert response.getheader("Content-Type").startswith("text/event-stream")
        response.read()
        # Also where the client keeps the connection, for its next request.
        connection.request("POST", "/add", "to nobody")
        assert connection.getresponse().status == 200
        wait_for(lambda: no_stream(url))


if "starlette" in FRAMEWORKS:
    def test_keepalive_where_the_application_waits_itself():
        process, url = serving("starlette", FOLDER, "starlette_app:app")
        with process, Client(url + "/events", timeout=30) as client:
            assert client.read_until(b"\n\n") == b"retry: 2000\n\n"
            assert client.read_until(b"\n") == b": \n"


VERSION_1 = {
    "/text": ("retry: 2000\n\n"
              "event: greeting\ndata: grüß\u2028dich\ndata: Hello\n\n"),
    "/again": ("retry: 2000\n\nevent: time\ndata: one\n\n"
               "event: time\ndata: two\n\nevent: date\ndata: three\n\n"
               "event: time\ndata: four\nid: 4\n\n"),
}


@pytest.mark.parametrize("framework", sorted(set(FRAMEWORKS) - {"wsgi"}))
def test_both_ways_of_version_1(framework):
    process, url = serving(framework, HERE, "version_1:" + framework, factory=True)
    with process:
        for path in sorted(VERSION_1):
            with Client(url + path) as client:
                assert client.response.status_code == 200
                assert TYPE.match(client.response.headers["Content-Type"])
                assert client.rest().decode("utf-8") == VERSION_1[path]
