"""examples/answer.py: an answer of it is written once, and Stop cancels it on the server."""

import contextlib
import os
import signal
import subprocess
import time

import pytest
import requests

from loopback import Client, EXAMPLES, free_port, python, running, wait_for

SOME_WORDS = "document.getElementById('answer').textContent.split(' ').length > 3"
SCRIPT = os.path.join(EXAMPLES, "answer.py")


@contextlib.contextmanager
def answering():
    port = free_port()
    with running(python(SCRIPT, "--port", str(port)), port):
        yield "http://127.0.0.1:%d/" % port


@pytest.fixture(scope="module")
def url():
    with answering() as url:
        yield url


def written(client):
    """The number in the next event of /writing."""
    while True:
        lines = client.read_until(b"\n\n").decode("ascii").split("\n")
        if "event: writing" in lines:
            return int(lines[1][len("data: "):])


def test_an_answer_with_a_pause_that_comments_fill(url):
    with Client(url + "writing") as watcher, Client(url + "answer?about=client") as client:
        assert (written(watcher), written(watcher)) == (0, 1)
        pause = client.read_until(b"event: pause\ndata: 5\n\n").decode("utf-8")
        assert pause.count("event: word\n") > 5
        silence = client.read_until(b"event: word\n")
        assert silence.count(b": \n") >= 2
        assert client.rest().endswith(b"event: done\ndata: \n\n")
        assert written(watcher) == 0


def test_a_client_that_disconnects_cancels_its_answer(url):
    with Client(url + "writing") as watcher:
        assert written(watcher) == 0
        with Client(url + "answer") as client:
            client.read_until(b"event: word\n")
            assert written(watcher) == 1
        before = time.time()
        assert written(watcher) == 0
        assert time.time() - before < 1


def test_head_writes_nothing(url):
    with Client(url + "writing") as watcher:
        assert written(watcher) == 0
        for path in ("answer", "writing", ""):
            assert requests.head(url + path, timeout=10).status_code == 200
        with Client(url + "answer"):
            assert written(watcher) == 1
        assert written(watcher) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once_with_its_streams(number):
    port = free_port()
    arguments = dict(
        stderr=subprocess.PIPE,
        # A shell has what it runs in the background ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    with subprocess.Popen(python(SCRIPT, "--port", str(port)), **arguments) as process:
        wait_for(lambda: b"Uvicorn running" in process.stderr.readline(), 20)
        url = "http://127.0.0.1:%d/" % port
        with Client(url + "answer") as answer, Client(url + "writing") as watcher:
            answer.read_until(b"event: word\n")
            watcher.read_until(b"\n\n")
            process.send_signal(number)
            answer.rest(), watcher.rest()       # raises if the response is cut
            wait_for(lambda: process.poll() is not None)
        assert b"Traceback" not in process.stderr.read()


def test_the_page(url, browser):
    def progress(part, seconds=10):
        wait_for(lambda: part in browser.text("#progress"), seconds)

    browser.open(url)
    wait_for(lambda: browser.text("#state") == "0 answers being written")

    browser.click("#go")
    wait_for(lambda: browser.text("#state") == "1 answer being written")
    browser.wait_for(SOME_WORDS)
    browser.click("#stop")
    progress("Stopped after")
    wait_for(lambda: browser.text("#state") == "0 answers being written")
    stopped = browser.text("#answer")

    browser.type("#about", "Why's that?")
    assert browser.text("#curl").endswith("answer?about=Why%27s+that%3F'")
    browser.click("#go")
    progress("The server pauses", 60)
    assert browser.text("#answer") != stopped
    progress("The answer is being written")
    progress("The page closed the connection", 60)
    wait_for(lambda: browser.text("#state") == "0 answers being written")
    answer = browser.text("#answer")
    assert browser.run("return document.querySelectorAll('#answer p').length") == 2
    assert browser.run("return document.getElementById('stop').disabled")

    # Longer than it takes to reconnect: nothing is written again.
    with Client(url + "writing") as watcher:
        assert written(watcher) == 0
        browser.run("return new Promise(done => setTimeout(done, 4500))")
        with Client(url + "answer"):
            assert written(watcher) == 1        # this one, and none before it
        assert written(watcher) == 0
    assert browser.text("#answer") == answer


def test_the_page_when_the_server_is_started_again(browser):
    port = free_port()
    server = python(SCRIPT, "--port", str(port))
    with running(server, port):
        browser.open("http://127.0.0.1:%d/" % port)
        browser.click("#go")
        browser.wait_for(SOME_WORDS)
    wait_for(lambda: "The connection broke after" in browser.text("#progress"))
    wait_for(lambda: browser.text("#state") == "Reconnecting")
    with running(server, port):
        wait_for(lambda: browser.text("#state") == "0 answers being written", 30)
