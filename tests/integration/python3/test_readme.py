"""The pages of the README and of docs/, in the three engines."""

import os
import urllib.parse

import requests

from framework_checks import FOLDER
from loopback import environment, EXAMPLES, python, running, serving, wait_for

WITH_FASTAPI = """
from fastapi.responses import HTMLResponse
from fastapi_app import app
from quick_start import page


@app.get("/")
async def root():
    return HTMLResponse(page())
"""


def adds(browser, url):
    """The page of the quick start shows what is posted, and what its button adds."""
    def shown():
        return set(browser.text("p").split("\n")) - {""}

    # Again and again: a client gets nothing of what was added before it.
    wait_for(lambda: requests.post(url + "add", "hello", timeout=10).ok and shown() == {"hello"})
    browser.click("button")
    wait_for(lambda: len(shown()) == 2)


def test_the_quick_start(start, browser, tmpdir):
    process, url = start("quick_start.py")
    with process:
        browser.open(url)
        adds(browser, url)
    # Started again, it does not know the id of the last event.
    with running(python(str(tmpdir.join("quick_start.py"))), urllib.parse.urlsplit(url).port):
        browser.wait_for("!document.querySelector('p').hasChildNodes()", 20)
        adds(browser, url)


def test_the_page_of_the_quick_start_with_fastapi(engines, tmp_path):
    browser = engines("chromium")
    (tmp_path / "app.py").write_text(WITH_FASTAPI)
    path = environment(PYTHONPATH=os.pathsep.join(map(os.path.abspath, [EXAMPLES, FOLDER])))
    with serving("-m", "uvicorn", "--port={port}", "--timeout-graceful-shutdown=1", "app:app",
                 cwd=str(tmp_path), env=path) as server:
        browser.open(server.url)
        adds(browser, server.url + "/")
        browser.open("about:blank")


def test_an_answer_is_asked_for_once(start, browser):
    def ask(question):
        browser.type("input", question)
        browser.click("button")

    process, url = start("answer_flask.py", "question.html")
    with process:
        browser.open(url)
        ask("Why not?")
        wait_for(lambda: browser.text("p").strip() == "You asked: Why not?")
        # After its reconnection time of 2 to 4 s it would have asked again.
        browser.run("await new Promise(resolve => setTimeout(resolve, 4500))")
        assert browser.text("p").strip() == "You asked: Why not?"
        ask("why " * 50)
        wait_for(lambda: "why why" in browser.text("p"))
        browser.click("[type=button]")
        stopped = browser.text("p")
        # A word comes every 0.3 seconds.
        browser.run("await new Promise(resolve => setTimeout(resolve, 700))")
        assert browser.text("p") == stopped
        ask("why " * 50)
        wait_for(lambda: "why why" in browser.text("p"))
        assert "broke off" not in stopped
    wait_for(lambda: browser.text("p").endswith("(The answer broke off.)"))


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
