"""The pages of the README and of docs/, in the three engines."""

import urllib.parse

import pytest
import requests

from loopback import python, running, wait_for


def test_the_quick_start(start, browser, tmpdir):
    process, url = start("quick_start.py")
    with process:
        browser.open(url)
        for number in 1, 2:
            browser.click("button")
            browser.wait_for("document.querySelectorAll('p br').length == %d" % number)
        assert browser.text("p")
    # Started again, it does not know the id of the last event.
    with running(python(str(tmpdir.join("quick_start.py"))), urllib.parse.urlsplit(url).port):
        browser.wait_for("!document.querySelector('p').hasChildNodes()", 20)
        browser.click("button")
        browser.wait_for("document.querySelectorAll('p br').length == 1")


@pytest.mark.parametrize("name, answer", [
    ("answer_flask.py", "This takes its time"), ("answer_fastapi.py", "You asked: Why not?")])
def test_an_answer_is_asked_for_once(start, browser, name, answer):
    process, url = start(name)
    with process:
        browser.open(url)
        if name == "answer_fastapi.py":
            browser.type("input", "Why not?")
            browser.click("button")
        wait_for(lambda: browser.text("p").strip() == answer)
        # After its reconnection time of 2 s it would have asked again.
        browser.run("await new Promise(resolve => setTimeout(resolve, 3000))")
        assert browser.text("p").strip() == answer


def test_an_answer_by_post(start, browser):
    process, url = start("answer_post.py")
    with process:
        browser.open(url)
        for question in ("Why not?", "Why?"):
            browser.type("textarea", question)
            browser.click("button")
            wait_for(lambda: browser.text("p").strip() == "You asked: " + question)
            browser.wait_for("!document.querySelector('button').disabled")
        browser.type("textarea", "why " * 200)
        browser.click("button")
        browser.wait_for("document.querySelector('p').textContent.length > 20")
        browser.click("button + button")
        wait_for(lambda: browser.text("p").endswith("(Stopped.)"))


def test_present_state(start, browser, tmpdir):
    def put(name, text):
        assert requests.put(url + "notes/" + name, text, timeout=10).ok

    def texts():
        try:
            return browser.texts("dt, dd")
        except Exception:       # each driver has its own, for a page that reloads meanwhile
            return None

    def shows(*expected):
        wait_for(lambda: texts() == list(expected), 20)

    markup = "</script><b>&amp;'\""
    process, url = start("present_state.py")
    with process:
        put("one", markup)
        browser.open(url)
        shows("one", markup)
        put("one", "1")
        put("two", markup)
        shows("one", "1", "two", markup)
        browser.type("[name=name]", "two")
        browser.type("[name=text]", "2")
        browser.click("button")
        shows("one", "1", "two", "2")
    # Started again, it has no notes, and does not know the id of the last event.
    with running(python(str(tmpdir.join("present_state.py"))), urllib.parse.urlsplit(url).port):
        shows()
        put("three", "3")
        shows("three", "3")


def test_six_connections(start, browser):
    process, url = start("quick_start.py")
    with process:
        browser.open(url)
        # The page has one itself.
        browser.run("window.more = [1, 2, 3, 4, 5].map(() => new EventSource('/events'))")
        browser.wait_for("window.more.every(each => each.readyState === 1)")
        loads = """
            const signal = AbortSignal.timeout(2000);
            return fetch("/", {signal}).then(response => response.ok, () => false)"""
        assert not browser.run(loads)
        browser.run("window.more[0].close()")
        assert browser.run(loads)
