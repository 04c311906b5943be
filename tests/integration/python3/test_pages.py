"""The pages of examples/clock.py and examples/chat.py in the three engines, with their buttons."""

import os

import pytest
import requests

from loopback import EXAMPLES, free_port, python, running, serving, wait_for


def test_the_clock(browser):
    """It misses no tick, neither when its connection ends nor when the server is started again."""
    def state(text, seconds=20):
        wait_for(lambda: browser.text("#state") == text, seconds)

    port = free_port()
    server = python(os.path.join(EXAMPLES, "clock.py"), "--port", str(port))
    with running(server, port):
        browser.open("http://127.0.0.1:%d/" % port)
        browser.wait_for("document.querySelectorAll('#events tr').length >= 2")
        state("Connected")
        assert "one HTTP response that stays open" in browser.text("#what")
        browser.wait_for("!document.getElementById('drop').disabled")
        browser.click("#drop")
        state("Reconnecting")
        state("Connected")
        wait_for(lambda: "Last-Event-ID" in browser.text("#story"))
        assert "none was missed" in browser.text("#story")
        assert "none missed" in browser.text("#count")
        assert browser.texts("tr.late")
        ids = browser.run("return [...document.querySelectorAll('#events td:nth-child(2)')]"
                          ".map(cell => Number(cell.textContent.split('-')[1]))")
        assert ids == list(range(ids[0], ids[0] - len(ids), -1))
    state("Reconnecting")
    with running(server, port):
        wait_for(lambda: "does not know that id" in browser.text("#story"), 30)
        assert "none missed" in browser.text("#count")


@pytest.fixture
def url():
    with serving(os.path.join(EXAMPLES, "chat.py"), "--port={port}") as process:
        yield process.url + "/"


def test_a_chat(url, browser):
    def say_here(name, text):
        browser.type("#name", name)
        browser.type("#text", text)
        browser.click("#say button")

    def post(path, room, name, **more):
        value = dict(room=room, name=name, **more)
        assert requests.post(url + path, json=value, timeout=10).ok
        return True

    def bob(room):
        params = dict(room=room, name="Bob", tab="b")
        return requests.get(url + "events", params=params, stream=True, timeout=10)

    def texts(css):
        # At once: the page may replace them meanwhile.
        return browser.run("return [...document.querySelectorAll(arguments[0])]"
                           ".map(each => each.textContent)", css)

    def here():
        return texts("#here b")

    browser.open(url)
    browser.run("sessionStorage.clear()")
    browser.open(url)
    wait_for(lambda: browser.text("#state") == "1 online")
    with bob("Lobby"):
        wait_for(lambda: browser.text("#state") == "2 online")
        assert here() == ["Bob"]
        wait_for(lambda: post("typing", "Lobby", "Bob") and "Bob is typing" in browser.text(
            "#typing"))
    with bob("Music"):
        wait_for(lambda: here() == [])
    wait_for(lambda: browser.text("#state") == "1 online", 20)
    wait_for(lambda: browser.text("#typing") == "")

    markup = "<img src=x onerror=alert(1)> **no** <b>markup</b>"
    say_here("Ann", markup)
    wait_for(lambda: texts("li p") == [markup] and here() == ["Ann"])
    post("say", "Lobby", "Bob", text=markup)
    wait_for(lambda: texts("li p") == [markup] * 2)
    assert texts("li.own p") == [markup]
    assert not browser.run("return document.querySelector('li img, li p b')")

    # Another room, where something was said, and back.
    post("say", "Music", "Bob", text="la")
    wait_for(lambda: texts("a.news") == ["Music"])
    browser.click("a.news")
    wait_for(lambda: texts("li p") == ["la"] and here() == ["Ann"])
    assert texts("a.news") == []
    browser.click("nav a")
    wait_for(lambda: texts("li p") == [markup] * 2)

    # A reload gets what was said, and so does whoever reconnects, without seeing it twice.
    browser.open(url)
    wait_for(lambda: texts("li p") == [markup] * 2)
    assert browser.text("#state") == "1 online"
    say_here(" ", "x")
    assert browser.run("return document.getElementById('text').value") == "x"
