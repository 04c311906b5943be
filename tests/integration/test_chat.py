# -*- coding: utf-8 -*-
"""examples/chat.py over HTTP."""

from __future__ import unicode_literals

import contextlib
import json
import os
import socket

import pytest
import requests

from loopback import Client, EXAMPLES, free_port, python, running


@contextlib.contextmanager
def chat():
    port = free_port()
    with running(python(os.path.join(EXAMPLES, "chat.py"), "--port", str(port)), port):
        yield "http://127.0.0.1:%d" % port


@pytest.fixture
def url():
    """A chat of its own."""
    with chat() as url:
        yield url


@pytest.fixture(scope="module")
def shared_url():
    """A chat in which others may have said something."""
    with chat() as url:
        yield url


def say(url, name, text, **more):
    return requests.post(url + "/say", json=dict(more, name=name, text=text), timeout=10)


def messages(client, count):
    """The next messages: id, name and text."""
    found = []
    while len(found) < count:
        lines = client.read_until(b"\n\n").decode("ascii").split("\n")
        if "event: message" in lines:
            value = json.loads(lines[1][len("data: "):])
            found.append((lines[2][len("id: "):], value["name"], value["text"]))
    return found


def test_what_one_says_all_get(url):
    with Client(url + "/events") as one, Client(url + "/events") as two:
        assert say(url, "Ann", "grüß\u2028<b>dich</b>\r\n").status_code == 202
        for client in (one, two):
            assert messages(client, 1)[0][1:] == ("Ann", "grüß\u2028<b>dich</b>\r\n")


def test_history_and_resume(url):
    for number in range(60):
        assert say(url, "Ann", "%d" % number).status_code == 202
    with Client(url + "/events") as client:
        found = messages(client, 50)
    assert [text for _, _, text in found] == ["%d" % number for number in range(10, 60)]
    last = {"Last-Event-ID": found[-3][0]}
    with Client(url + "/events", headers=last) as client:
        say(url, "Bob", "new")
        assert [text for _, _, text in messages(client, 3)] == ["58", "59", "new"]


@pytest.mark.parametrize("body, status", [
    ("", 400), ("x", 400), ("[]", 400), ("5", 400), ("{}", 400), ('{"name": "a"}', 400),
    ('{"name": 5, "text": "x"}', 400), ('{"name": "", "text": "x"}', 400),
    ('{"name": " ", "text": "x"}', 400), ('{"name": "a", "text": ["x"]}', 400),
    (json.dumps({"name": "a" * 41, "text": "x"}), 400),
    (json.dumps({"name": "a", "text": "x" * 2001}), 400),
    (b"\xff", 400), ("x" * (64 * 1024 + 1), 400),
    (json.dumps({"name": "a", "text": "\ud800"}), 202),     # JSON carries it
    (json.dumps({"name": "a" * 40, "text": "x" * 2000}), 202),
])
def test_what_may_be_said(shared_url, body, status):
    response = requests.post(shared_url + "/say", data=body, timeout=10)
    assert response.status_code == status
    if status != 202:
        assert response.text.endswith("\n")


@pytest.mark.parametrize("method, path, status, allow", [
    ("GET", "/other", 404, None), ("POST", "/", 405, "GET, HEAD"),
    ("POST", "/events", 405, "GET, HEAD"), ("GET", "/say", 405, "POST"),
    ("HEAD", "/", 200, None), ("HEAD", "/events", 200, None),
])
def test_statuses(shared_url, method, path, status, allow):
    response = requests.request(method, shared_url + path, timeout=10)
    assert (response.status_code, response.headers.get("Allow")) == (status, allow)


def connect(url, **buffers):
    """A socket on which the stream was asked for."""
    sock = socket.socket()
    if buffers:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers["receive"])
    sock.settimeout(20)
    sock.connect(("127.0.0.1", int(url.rsplit(":", 1)[1])))
    sock.sendall(b"GET /events HTTP/1.0\r\n\r\n")
    return contextlib.closing(sock)


def test_one_that_stops_reading_is_dropped_while_the_other_goes_on(url):
    with connect(url) as other, connect(url, receive=4096) as slow:
        lines = other.makefile("rb")

        def read_until(line):
            while lines.readline() != line:
                pass

        read_until(b"event: online\n")
        read_until(b"data: 2\n")
        session = requests.Session()
        text = "\U0001f600" * 1000      # twelve bytes each, as JSON
        count = 900
        for number in range(count):
            say = session.post(url + "/say", json={"name": "a", "text": text}, timeout=10)
            assert say.status_code == 202
            read_until(b"event: message\n")
        # Its response ends, with what was pending when it was closed.
        received = 0
        while True:
            piece = slow.recv(65536)
            if not piece:
                break
            received += len(piece)
        assert 0 < received < count * 12 * 1000
        session.post(url + "/say", json={"name": "a", "text": "still there"}, timeout=10)
        read_until(b"event: message\n")
        assert b"still there" in lines.readline()
