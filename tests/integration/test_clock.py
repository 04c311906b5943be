# -*- coding: utf-8 -*-
"""examples/clock.py over HTTP, and what server.py does for it and for the chat."""

from __future__ import unicode_literals

import os
import signal
import subprocess

import psutil
import pytest
import requests

from loopback import Client, EXAMPLES, python, serving, wait_for
from sse import HEADERS


@pytest.fixture(scope="module")
def server():
    with serving(os.path.join(EXAMPLES, "clock.py"), "--port={port}") as process:
        yield process


def ticks(client, count):
    """The ids of the next ticks."""
    found = []
    while len(found) < count:
        lines = client.read_until(b"\n\n").decode("ascii").split("\n")
        if "event: tick" in lines:
            found.append(lines[-3][len("id: "):])
    return found


def numbers(ids):
    return [int(event_id.split("-")[1]) for event_id in ids]


def test_events(server):
    with Client(server.url + "/events") as client:
        for name, value in HEADERS:
            assert client.response.headers[name] == value
        last, other = ticks(client, 2)
    first, = numbers([last])
    assert numbers([other]) == [first + 1]
    with Client(server.url + "/events", headers={"Last-Event-ID": last}) as client:
        assert numbers(ticks(client, 3)) == [first + 1, first + 2, first + 3]


def test_an_unknown_last_event_id(server):
    with Client(server.url + "/events", headers={"Last-Event-ID": "x"}) as client:
        assert client.read_until(b"\n\n").startswith(b"retry: ")
        assert client.read_until(b"\n\n").startswith(b"event: reset\n")
        assert numbers(ticks(client, 1)) == [1]


def test_drop_ends_every_stream(server):
    with Client(server.url + "/events") as one, Client(server.url + "/events") as two:
        ticks(one, 1), ticks(two, 1)
        assert requests.post(server.url + "/drop", timeout=10).status_code == 202
        one.rest(), two.rest()


@pytest.mark.parametrize("method, path, status, allow", [
    ("GET", "/", 200, None), ("HEAD", "/", 200, None), ("GET", "/style.css", 200, None),
    ("HEAD", "/events", 200, None), ("GET", "/other", 404, None), ("POST", "/other", 404, None),
    ("GET", "/events/x", 404, None), ("GET", "/clock.py", 404, None),
    ("POST", "/", 405, "GET, HEAD"), ("POST", "/events", 405, "GET, HEAD"),
    ("GET", "/drop", 405, "POST"), ("HEAD", "/drop", 405, "POST"),
])
def test_statuses(server, method, path, status, allow):
    response = requests.request(method, server.url + path, timeout=10)
    assert (response.status_code, response.headers.get("Allow")) == (status, allow)
    if method == "HEAD":
        assert response.content == b""


def test_a_client_that_disconnects_costs_nothing_after_two_ticks(server):
    process = psutil.Process(server.pid)

    def costs():
        return process.num_threads(), process.num_fds()

    before = wait_for(lambda: costs()[0] == 2 and costs())   # the server's and the clock's
    clients = [Client(server.url + "/events") for _ in range(10)]
    for client in clients:
        ticks(client, 1)
    assert costs()[0] >= 12
    for client in clients:
        client.close()
    wait_for(lambda: costs() <= before, 5)


@pytest.mark.parametrize("name", ["clock.py", "chat.py"])
def test_a_port_in_use(server, name):
    port = str(server.port)
    process = subprocess.Popen(
        python(os.path.join(EXAMPLES, name), "--port", port), stderr=subprocess.PIPE)
    error = process.communicate()[1].decode()
    assert process.returncode == 1
    assert error.count("\n") == 1 and port in error and "Traceback" not in error


@pytest.mark.parametrize("name, events", [
    ("clock.py", "events"), ("chat.py", "events?room=Lobby&tab=1"),
])
def test_ctrl_c_ends_it_at_once(name, events):
    process = subprocess.Popen(
        python(os.path.join(EXAMPLES, name), "--port", "0"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # A shell has what it runs in the background ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    url = process.stdout.readline().decode("ascii").strip()
    with Client(url + events) as client:
        client.read_until(b"\n\n")
        process.send_signal(signal.SIGINT)
        wait_for(lambda: process.poll() is not None, 5)
        output, error = process.communicate()
    assert (process.returncode, output, error) == (0, b"", b"")
