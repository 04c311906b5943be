"""Clients that listen to a topic, silent while others are busy: cut off, they miss nothing."""

import concurrent.futures
import contextlib
import re
import socket
import threading

import pytest

from loopback import wait_for
from readers import npm, run_node
from sse import Channel
from streams import module, served, status

HISTORY = 20
FOREVER = 30

# Empty events of the type "message" are made of a block without data by some of them.
PAGE = """
    window.events = [];
    function heard(type, data) {
        if (data !== undefined && (type !== "message" || data !== "")) {
            window.events.push([type, data]);
        }
    }
    function listen(source) {
        for (const type of ["message", "note", "reset"]) {
            source.addEventListener(type, ({ data }) => heard(type, data));
        }
    }
"""
STARTS = {
    "EventSource": "listen(new EventSource('/events'));",
    "event-source-polyfill": """
        await import("/npm/event-source-polyfill/src/eventsource");
        listen(new EventSourcePolyfill("/events?x=1", { headers: { Authorization: "Bearer x" } }));
    """,
    "@microsoft/fetch-event-source": """
        const path = "/npm/@microsoft/fetch-event-source/lib/esm/index";
        const { fetchEventSource } = await import(path);
        fetchEventSource("/events", {
            openWhenHidden: true,
            onmessage: ({ event, data }) => heard(event || "message", data),
            onclose() { throw new Error("no more"); },
            onerror: () => 50,
        });
    """,
}
PAGES = [("chromium", start) for start in STARTS] + [
    ("firefox", "EventSource"), ("webkit", "EventSource")]


class Room(object):
    """/events listens to the topic "quiet"; who comes while nobody may enter waits."""

    def __init__(self):
        self.channel = Channel(history=HISTORY, default_retry=50)
        self.to = self.channel.to("quiet")
        self.enter = threading.Event()
        self.enter.set()
        self.visits = []

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        if path.startswith("/npm/"):
            return module(path[len("/npm/"):])(environ, start_response)
        if path != "/events":
            return status("200 OK")(environ, start_response)    # a page
        self.visits.append(environ)
        assert self.enter.wait(FOREVER)
        return self.channel.open(environ, topics=["quiet"])(environ, start_response)

    def end(self):
        self.to.close()

    def cut(self):
        self.visits[-1]["werkzeug.socket"].shutdown(socket.SHUT_RDWR)

    def play(self, has, *leaves):
        """All that happens to a client; `has(text)` waits until it has got this."""
        wait_for(lambda: self.to.streams, FOREVER)
        self.to.add_message("note", "first")
        has("first")
        for number, leave in enumerate(leaves, 1):
            self.others()
            self.enter.clear()
            leave()
            wait_for(lambda: len(self.visits) == number + 1, FOREVER)
            self.others()
            self.to.add_message("note", "missed %d" % number)
            self.enter.set()
            has("missed %d" % number)

    def others(self):
        for _ in range(10 * HISTORY):
            self.channel.to("busy").add_message("note", "for others")


@contextlib.contextmanager
def room():
    made = Room()
    with served(made) as url:
        try:
            yield made, url
        finally:
            made.enter.set()
            made.channel.close()


@pytest.mark.parametrize("engine, client", PAGES)
def test_a_page(engine, client, engines):
    if client != "EventSource":
        npm(client)
    browser = engines(engine)
    with room() as (made, url):
        browser.open(url)
        browser.run(PAGE + STARTS[client])
        made.play(lambda text: browser.wait_for(
            "JSON.stringify(window.events).includes('%s')" % text, FOREVER), made.end, made.cut)
        made.to.add_message("note", "live")
        browser.wait_for("JSON.stringify(window.events).includes('live')", FOREVER)
        assert browser.run("return window.events") == [
            ["note", text] for text in ("first", "missed 1", "missed 2", "live")]
        # It sends the id there and nowhere else.
        by_query = [bool(re.search("lastEventId=[^&]", visit["QUERY_STRING"]))
                    for visit in made.visits]
        by_header = ["HTTP_LAST_EVENT_ID" in visit for visit in made.visits]
        assert (by_query if client == "event-source-polyfill" else by_header) == [
            False, True, True]
        browser.open("about:blank")


def read_eventsource(url):
    return run_node("eventsource", [{
        "url": url + "/events", "types": ["note", "reset"], "seconds": FOREVER,
        "returns": True}])[0]


def read_httpx_sse(url):
    """As its documentation has it: its user reconnects, with the last id that is not empty."""
    httpx, httpx_sse = pytest.importorskip("httpx"), pytest.importorskip("httpx_sse")
    events, headers = [], {}
    with httpx.Client(timeout=FOREVER, verify=False) as client:
        while True:
            with httpx_sse.connect_sse(client, "GET", url + "/events", headers=headers) as source:
                for event in source.iter_sse():
                    if event.id:
                        headers = {"Last-Event-ID": event.id}
                    if event.data or event.event != "message":
                        events.append([event.event, event.data])
                    if event.event == "end":
                        return events


@pytest.mark.parametrize("read", [read_eventsource, read_httpx_sse])
def test_a_reader(read):
    with room() as (made, url), concurrent.futures.ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read, url)
        made.play(lambda text: None, made.end)
        made.to.add_message("end", ".")
        assert [event[:2] for event in reading.result(FOREVER)] == [
            ["note", "first"], ["note", "missed 1"], ["end", "."]]
