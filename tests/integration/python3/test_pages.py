"""The pages of examples/clock.py and examples/chat.py in the three engines, with their buttons."""

import os

import pytest
import requests

from loopback import EXAMPLES, free_port, python, running, wait_for


@pytest.fixture
def url(request):
    port = free_port()
    with running(python(os.path.join(EXAMPLES, request.param), "--port", str(port)), port):
        yield "http://127.0.0.1:%d/" % port


@pytest.mark.parametrize("url", ["clock.py"], indirect=True)
def test_the_clock_misses_no_tick(url, browser):
    browser.open(url)
    browser.wait_for("document.querySelectorAll('#events tr').length >= 2")
    assert browser.text("#state") == "Connected"
    assert "one HTTP response that stays open" in browser.text("#what")
    browser.wait_for("!document.getElementById('drop').disabled")
    browser.click("#drop")
    wait_for(lambda: browser.text("#state") == "Reconnecting")
    wait_for(lambda: browser.text("#state") == "Connected", 20)
    wait_for(lambda: "Last-Event-ID" in browser.text("#story"))
    assert "none was missed" in browser.text("#story")
    assert "none missed" in browser.text("#count")
    assert browser.texts("tr.late")
    ids = browser.run("return [...document.querySelectorAll('#events td:nth-child(2)')]"
                      ".map(cell => Number(cell.textContent.split('-')[1]))")
    assert ids == list(range(ids[0], ids[0] - len(ids), -1))


def test_the_clock_is_started_again(browser):
    port = free_port()
    server = python(os.path.join(EXAMPLES, "clock.py"), "--port", str(port))
    with running(server, port):
        browser.open("http://127.0.0.1:%d/" % port)
        browser.wait_for("document.querySelectorAll('#events tr').length >= 1")
    wait_for(lambda: browser.text("#state") == "Reconnecting")
    with running(server, port):
        wait_for(lambda: "does not know that id" in browser.text("#story"), 30)
        assert "none missed" in browser.text("#count")


@pytest.mark.parametrize("url", ["chat.py"], indirect=True)
def test_a_chat(url, browser):
    def say_here(name, text):
        browser.type("#name", name)
        browser.type("#text", text)
        browser.click("#say button")

    browser.open(url)
    wait_for(lambda: browser.text("#state") == "1 online")
    with requests.get(url + "events", stream=True, timeout=10):
        wait_for(lambda: browser.text("#state") == "2 online")
    wait_for(lambda: browser.text("#state") == "1 online")

    markup = "<img src=x onerror=alert(1)> **no** <b>markup</b>"
    say_here("Ann", markup)
    wait_for(lambda: browser.texts("li p") == [markup])
    requests.post(url + "say", json={"name": "Bob", "text": markup}, timeout=10)
    wait_for(lambda: browser.texts("li p") == [markup] * 2)
    assert browser.texts("li.own p") == [markup]
    assert not browser.run("return document.querySelector('li img, li p b')")

    # A reload gets what was said, and so does whoever reconnects, without seeing it twice.
    browser.open(url)
    wait_for(lambda: browser.texts("li p") == [markup] * 2)
    say_here(" ", "x")
    assert browser.run("return document.getElementById('text').value") == "x"
