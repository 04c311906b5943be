# -*- coding: utf-8 -*-
"""examples/chat.py over HTTP."""

from __future__ import unicode_literals

import contextlib
import io
import json
import os
import socket

import pytest
import requests

from loopback import Client, environment, EXAMPLES, free_port, python, running

ROOMS = ["Lobby", "Music", "Help"]


# Who has left is known sooner.
SOONER = {"grace=5, every=1": "grace=1, every=0.2", "keepalive=2": "keepalive=0.5"}


@contextlib.contextmanager
def chat(tmpdir):
    port = free_port()
    with io.open(os.path.join(EXAMPLES, "chat.py"), encoding="utf-8") as file:
        text = file.read()
    for before, after in SOONER.items():
        assert text.count(before) == 1
        text = text.replace(before, after)
    script = tmpdir.join("chat.py")
    script.write(text)
    with running(python(str(script), "--port", str(port)), port,
                 env=environment(PYTHONPATH=os.path.abspath(EXAMPLES))):
        yield "http://127.0.0.1:%d" % port


@pytest.fixture
def url(tmpdir):
    """A chat of its own."""
    with chat(tmpdir) as url:
        yield url


@pytest.fixture(scope="module")
def shared_url(tmpdir_factory):
    """A chat in which others may have said something."""
    with chat(tmpdir_factory.mktemp("chat")) as url:
        yield url


def say(url, name, text, room="Lobby"):
    return requests.post(url + "/say", json={"room": room, "name": name, "text": text}, timeout=10)


def listening(url, room="Lobby", name="", tab="1", **options):
    params = {"room": room, "name": name, "tab": tab}
    return Client(url + "/events", params=params, **options)


def following(client, *kinds):
    """The next event of these kinds: its kind, its value and its id, None if it has none."""
    while True:
        lines = [line for line in client.read_until(b"\n\n").decode("ascii").split("\n")
                 if not line.startswith(":")]       # comments stand before it
        kind = lines[0].partition(": ")[2]
        if kind in kinds:
            value = json.loads(lines[1][len("data: "):])
            return kind, value, lines[2].partition("id: ")[2] or None


def messages(client, count):
    """The next messages: id, name and text."""
    found = [following(client, "message") for _ in range(count)]
    return [(event_id, value["name"], value["text"]) for _, value, event_id in found]


def test_what_one_says_all_in_the_room_get(url):
    with listening(url, tab="1") as one, listening(url, tab="2") as two, \
            listening(url, "Music", tab="3") as other:
        text = "grüß\u2028<b>dich</b>\r\n"
        assert say(url, "Ann", text).status_code == 202
        for client in (one, two):
            assert messages(client, 1)[0][1:] == ("Ann", text)
        assert following(other, "said", "message") == ("said", "Lobby", None)
        say(url, "Ann", "in Music", "Music")
        assert messages(other, 1)[0][1:] == ("Ann", "in Music")


def test_who_is_typing(url):
    with listening(url) as one, listening(url, "Music", tab="2") as other:
        ann = {"room": "Lobby", "name": "Ann"}
        assert requests.post(url + "/typing", json=ann, timeout=10).status_code == 202
        assert following(one, "typing") == ("typing", "Ann", None)
        say(url, "Ann", "x", "Music")
        assert following(other, "typing", "message")[0] == "message"


def test_who_is_here(url):
    def here(online, *rooms):
        expected = {"online": online, "rooms": [list(room) for room in zip(ROOMS, rooms)]}
        while following(watching, "here")[1] != expected:
            pass

    with listening(url, "Help", tab="w") as watching:
        here(1, [], [], [])
        with listening(url, "Lobby", "Zo\xeb", "z"), listening(url, "Lobby", "Ann", "a"):
            here(3, ["Ann", "Zo\xeb"], [], [])
        # A tab that opens another room is nowhere else; one that is closed leaves after some time.
        with listening(url, "Music", "Ann", "a"):
            here(3, ["Zo\xeb"], ["Ann"], [])
            here(2, [], ["Ann"], [])
        here(1, [], [], [])


def test_history_and_resume(url):
    for number in range(210):
        assert say(url, "Ann", "%d" % number).status_code == 202
    say(url, "Ann", "elsewhere", "Music")
    with listening(url) as client:
        found = messages(client, 199)
    assert [text for _, _, text in found] == ["%d" % number for number in range(11, 210)]
    last = {"Last-Event-ID": found[-3][0]}
    with listening(url, headers=last) as client:
        say(url, "Bob", "new")
        assert [text for _, _, text in messages(client, 3)] == ["208", "209", "new"]


def body(**more):
    return json.dumps(dict({"room": "Lobby", "name": "a", "text": "x"}, **more))


@pytest.mark.parametrize("body, status", [
    ("", 400), ("x", 400), ("[]", 400), ("5", 400), ("{}", 400), ('{"name": "a"}', 400),
    (body(name=5), 400), (body(name=""), 400), (body(name=" "), 400), (body(text=["x"]), 400),
    (body(text=" "), 400), (body(room="Cellar"), 400), (body(room=["Lobby"]), 400),
    (body(name="a" * 41), 400), (body(text="x" * 2001), 400),
    (b"\xff", 400), ("x" * (64 * 1024 + 1), 400),
    (body(text="\ud800"), 202),     # JSON carries it
    (body(name="a" * 40, text="x" * 2000), 202),
])
def test_what_may_be_said(shared_url, body, status):
    response = requests.post(shared_url + "/say", data=body, timeout=10)
    assert response.status_code == status
    if status != 202:
        assert response.text.endswith("\n")


@pytest.mark.parametrize("method, path, status, allow", [
    ("GET", "/other", 404, None), ("POST", "/", 405, "GET, HEAD"),
    ("POST", "/events", 405, "GET, HEAD"), ("GET", "/say", 405, "POST"),
    ("HEAD", "/", 200, None), ("HEAD", "/events?room=Lobby&tab=1", 200, None),
    ("GET", "/events", 400, None), ("GET", "/events?room=Lobby", 400, None),
    ("GET", "/events?room=Cellar&tab=1", 400, None),
    ("GET", "/events?room=Lobby&tab=room:Music", 400, None),
    ("GET", "/events?room=Lobby&tab=1&name=" + "a" * 41, 400, None),
])
def test_statuses(shared_url, method, path, status, allow):
    response = requests.request(method, shared_url + path, timeout=10, stream=True)
    with contextlib.closing(response):
        assert (response.status_code, response.headers.get("Allow")) == (status, allow)


def connect(url, tab, **buffers):
    """A socket on which the stream was asked for."""
    sock = socket.socket()
    if buffers:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers["receive"])
    sock.settimeout(20)
    sock.connect(("127.0.0.1", int(url.rsplit(":", 1)[1])))
    sock.sendall(("GET /events?room=Lobby&tab=%s HTTP/1.0\r\n\r\n" % tab).encode("ascii"))
    return contextlib.closing(sock)


def test_one_that_stops_reading_is_dropped_while_the_other_goes_on(url):
    with connect(url, "1") as other, connect(url, "2", receive=4096) as slow:
        lines = other.makefile("rb")

        def read_until(line):
            while lines.readline() != line:
                pass

        while b'"online":2' not in lines.readline():
            pass
        session = requests.Session()
        text = "\U0001f600" * 1000      # twelve bytes each, as JSON
        count = 900
        for number in range(count):
            assert session.post(url + "/say", body(text=text), timeout=10).status_code == 202
            read_until(b"event: message\n")
        # Its response ends, with what was pending when it was closed.
        received = 0
        while True:
            piece = slow.recv(65536)
            if not piece:
                break
            received += len(piece)
        assert 0 < received < count * 12 * 1000
        session.post(url + "/say", body(text="still there"), timeout=10)
        read_until(b"event: message\n")
        assert b"still there" in lines.readline()
