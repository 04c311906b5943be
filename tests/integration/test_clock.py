# -*- coding: utf-8 -*-
"""examples/clock.py, over HTTP and in a browser."""

from __future__ import unicode_literals

import json
import os
import signal
import subprocess

import pytest
import requests
import six

from browser import chromium
from sse import HEADERS
from loopback import Client, EXAMPLES, free_port, python, running, wait_for


@pytest.fixture(scope="module")
def server():
    port = free_port()
    with running(python(os.path.join(EXAMPLES, "clock.py"), "--port", str(port)), port) as process:
        process.url = "http://127.0.0.1:%d" % port
        yield process


def ticks(client, count):
    """The ids of the next ticks, which come after a hello."""
    found = []
    while len(found) < count:
        lines = client.read_until(b"\n\n").decode("ascii").split("\n")
        if "event: tick" in lines:
            found.append(int(lines[-3][len("id: "):]))
    return found


def test_events(server):
    with Client(server.url + "/events") as client:
        for name, value in HEADERS:
            assert client.response.headers[name] == value
        first, second = ticks(client, 2)
        assert second == first + 1


def test_it_goes_on_after_the_last_event_id(server):
    with Client(server.url + "/events") as client:
        last = ticks(client, 1)[0]
    with Client(server.url + "/events") as client:
        missed = ticks(client, last + 2)[-1]
    assert missed >= last + 1
    with Client(server.url + "/events", headers={"Last-Event-ID": str(last)}) as client:
        assert client.read_until(b"\n\n") == b"retry: 2000\n\n"
        hello = client.read_until(b"\n\n").decode("ascii").split("\n")
        assert hello[0] == "event: hello"
        assert json.loads(hello[1][len("data: "):])["after"] == last
        assert ticks(client, 2) == [last + 1, last + 2]


@pytest.mark.parametrize("last", ["", "x", "-1", "999999999", "é", "1; DROP"])
def test_an_unknown_last_event_id(server, last):
    with Client(server.url + "/events", headers={"Last-Event-ID": last.encode("utf-8")}) as client:
        assert ticks(client, 1)[0] >= 1


def test_drop_ends_the_streams_of_a_page(server):
    with Client(server.url + "/events?one") as one, Client(server.url + "/events?two") as two:
        ticks(one, 1), ticks(two, 1)
        assert requests.head(server.url + "/drop?one", timeout=10).status_code == 200
        ticks(one, 1)
        assert requests.get(server.url + "/drop?one", timeout=10).status_code == 200
        one.rest()
        ticks(two, 1)
    assert requests.get(server.url + "/drop?three", timeout=10).status_code == 404
    assert requests.get(server.url + "/drop", timeout=10).status_code == 404


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/", 200), ("HEAD", "/", 200), ("HEAD", "/events", 200),
    ("GET", "/other", 404), ("POST", "/other", 404), ("GET", "/events/x", 404),
    ("POST", "/", 405), ("POST", "/events", 405), ("PUT", "/drop", 405), ("DELETE", "/", 405),
])
def test_statuses(server, method, path, status):
    response = requests.request(method, server.url + path, timeout=10)
    assert response.status_code == status
    if status == 405:
        assert response.headers["Allow"] == "GET, HEAD"
    if method == "HEAD":
        assert response.content == b""


def test_a_client_that_leaves_costs_nothing_after_its_next_tick(server):
    psutil = pytest.importorskip("psutil")
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


@pytest.mark.parametrize("name", ["clock.py", "chat.py"] + ["redis_feed.py"] * six.PY3)
def test_a_port_in_use(server, name):
    port = server.url.rsplit(":", 1)[1]
    process = subprocess.Popen(
        python(os.path.join(EXAMPLES, name), "--port", port), stderr=subprocess.PIPE)
    error = process.communicate()[1].decode()
    assert process.returncode == 1
    assert error.count("\n") == 1 and port in error and "Traceback" not in error


@pytest.mark.parametrize("name", ["clock.py", "chat.py"])
def test_ctrl_c_ends_it(name):
    process = subprocess.Popen(python(os.path.join(EXAMPLES, name), "--port", "0"),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    url = process.stdout.readline().decode("ascii").strip()
    with Client(url + "events") as client:
        client.read_until(b"\n\n")
        process.send_signal(signal.SIGINT)
        output, error = process.communicate()
    assert (process.returncode, output, error) == (0, b"", b"")


def test_the_page_in_a_browser(server):
    def text(selector):
        return browser.find_element("css selector", selector).text

    with chromium() as browser:
        browser.get(server.url)
        wait_for(lambda: "tick" in text("#number"))
        first = text("#time")
        wait_for(lambda: text("#time") != first)
        assert text("#state") == "Connected"
        browser.find_element("id", "drop").click()
        wait_for(lambda: text("#state") == "Coming back")
        wait_for(lambda: text("#state") == "Connected", 20)
        wait_for(lambda: "Last-Event-ID" in text("#story"))
        wait_for(lambda: browser.find_elements("css selector", "tr.late"))
        assert "none missed" in text("#count")
        cells = browser.find_elements("css selector", "tr.tick td:nth-child(2)")
        ids = [int(cell.text) for cell in cells]
        assert ids == list(range(ids[0], ids[0] - len(ids), -1))
        rows = browser.find_elements("css selector", "#events tr")
        assert rows[0].text.startswith("tick ")
