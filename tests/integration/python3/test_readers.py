# -*- coding: utf-8 -*-
"""What the readers out there make of the streams: the vectors, and coming back after a drop.

A reader must give exactly what the standard gives. Where one does not, readers/departures.json
says what it gives instead, so that the test fails on the day that the reader is mended. Why:

- id-block: an id in a block without data is lost
- phantom: a block without data is an event
- strip: leading spaces of each value are lost, and newlines at the end of the data
- default: an event field without a value is not "message"
- reset: an id field without a value changes nothing
- latin-1: the header is not UTF-8, or is not sent because it would not be Latin-1
- retry: the retry field is ignored
"""

import asyncio
import base64
import collections
import concurrent.futures
import datetime
import io
import itertools
import json
import os
import shutil
import subprocess
import threading
import time

import pytest

from browser import chromium
from sse import Sse, last_event_id
from vectors import call, WRITTEN

serving = pytest.importorskip("werkzeug.serving")

HERE = os.path.dirname(os.path.abspath(__file__))
READERS = os.path.join(HERE, "readers")
KINDS = ["whole", "pieces"]
NODE_MODULES = os.environ.get("SSE_NODE_MODULES", "")
MILLISECOND = datetime.timedelta(milliseconds=1)


def load(*names):
    with io.open(os.path.join(HERE, *names), encoding="utf-8") as file:
        return json.load(file)


CASES = WRITTEN + [
    {"name": "long line", "calls": [["add_message", ["e", "x" * 300000]]],
     "events": [["e", "x" * 300000, ""]]},
    {"name": "many lines", "calls": [["add_message", ["e", "x\n" * 3000 + "x"]]],
     "events": [["e", "x\n" * 3000 + "x", ""]]},
]
DEPARTURES = {(departure["reader"], departure["case"]): departure["gives"]
              for departure in load("readers", "departures.json")}
ENDED = {"calls": [["add_message", ["end", "."]]]}

# name, calls before the connection drops, the Last-Event-ID of the requests that follow
RETURNS = [
    ("no id", [["add_message", ["e", "x"]]], None),
    ("id", [["add_message", ["e", "x", "utf-8", "7"]]], "7"),
    ("id before", [["add_message", ["e", "x", "utf-8", "7"]], ["add_message", ["e", "y"]]], "7"),
    ("id alone", [["add_message", ["e", "x"]], ["set_event_id", ["7"]]], "7"),
    ("reset", [["add_message", ["e", "x", "utf-8", "7"]], ["add_message", ["e", "y", "utf-8", ""]]],
     None),
    ("reset alone", [["add_message", ["e", "x", "utf-8", "7"]], ["reset_event_id", []]], None),
    ("id 0", [["add_message", ["e", "x", "utf-8", 0]]], "0"),
    ("id with space", [["add_message", ["e", "x", "utf-8", "a b"]]], "a b"),
    ("id in Latin-1", [["add_message", ["e", "x", "utf-8", "é"]]], "é"),
    ("id beyond Latin-1", [["add_message", ["e", "x", "utf-8", "é…\U0001f600"]]], "é…\U0001f600"),
    ("id of 1024 bytes", [["add_message", ["e", "x", "utf-8", "0" * 1024]]], "0" * 1024),
    ("retry", [["set_retry", [3500]], ["add_message", ["e", "x"]]], None),
]


def made(row):
    """The `Sse` of a case, and what its calls have already taken from it."""
    sse = Sse(**row.get("new", {"default_retry": None}))
    taken = [call(sse, *arguments) for arguments in row["calls"]]
    sse.close()
    return sse, [chunk for chunk in taken if chunk]     # most calls give None


def pieces(chunks):
    """The chunks cut where it hurts, within characters and between the two ends of a block."""
    for chunk in chunks:
        step = 1 + len(chunk) // 1000
        for start in range(0, len(chunk), step):
            yield chunk[start:start + step]


class Server(object):
    """/whole/N/READER and /pieces/N/READER are the cases, once, each followed by an event "end".

    /return/N/READER drops twice; to those who come back again it sends the event "end".
    """

    def __init__(self):
        self.visits = collections.defaultdict(list)
        self._server = serving.make_server(
            "127.0.0.1", 0, self, threaded=True, request_handler=Handler)
        self.url = "http://127.0.0.1:%d" % self._server.port
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __call__(self, environ, start_response):
        kind, number = (environ["PATH_INFO"].split("/") + [""])[1:3]
        visits = self.visits[environ["PATH_INFO"]]
        visits.append((last_event_id(environ), time.time()))
        end, _ = made(ENDED)
        if kind in KINDS and len(visits) == 1:
            sse, taken = made(CASES[int(number)])
            chunks = itertools.chain(taken, sse(environ, start_response), end.stream())
            return pieces(chunks) if kind == "pieces" else chunks
        if kind == "return" and len(visits) == 1:
            calls = RETURNS[int(number)][1]
            sse, _ = made({"new": {"default_retry": 50}, "calls": calls})
            return sse(environ, start_response)
        if kind == "return" and len(visits) <= 3:
            stream = made({"calls": []})[0] if len(visits) == 2 else end
            return stream(environ, start_response)
        # Nothing to see; and for who has missed the end, no more to come.
        start_response("204 No Content" if kind else "200 OK", [("Content-Type", "text/html")])
        return []


class Handler(serving.WSGIRequestHandler):
    protocol_version = "HTTP/1.1"       # the only one with chunks

    def log(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.close()


def up_to_end(events):
    """All events up to "end", which is the last of each stream."""
    read = []
    for event in events:
        read.append(event)
        if event[0] == "end":
            break
    return read


def with_last_event_id(events, none=None):
    """For readers that give the id field of each event, or `none`, and no last event ID."""
    last = ""
    for event, data, event_id in events:
        last = last if event_id == none else event_id
        yield [event, data, last]


def read_sseclient_py(url):
    import requests
    import sseclient
    with requests.get(url, stream=True, timeout=20) as response:
        return up_to_end(with_last_event_id(
            (event.event, event.data, event.id)
            for event in sseclient.SSEClient(response.iter_content(None)).events()))


def read_httpx_sse(url):
    import httpx
    import httpx_sse
    # verify: the certificates that it would load each time take most of the time.
    with httpx.Client(timeout=20, verify=False) as client:
        with httpx_sse.connect_sse(client, "GET", url) as source:
            return up_to_end([event.event, event.data, event.id] for event in source.iter_sse())


def read_requests_sse(url):
    import requests_sse
    with requests_sse.EventSource(url, reconnection_time=MILLISECOND, timeout=20) as source:
        return up_to_end([event.type, event.data, event.last_event_id] for event in source)


def read_aiohttp_sse_client2(url):
    from aiohttp_sse_client2 import client

    async def read():
        events = []
        async with client.EventSource(url, reconnection_time=MILLISECOND) as source:
            async for event in source:
                # Its type is None where the standard has "message".
                events.append([event.type or "message", event.data, event.last_event_id])
                if event.type == "end":
                    return events

    return asyncio.run(asyncio.wait_for(read(), 30))


def read_launchdarkly(url):
    import ld_eventsource
    from ld_eventsource.config import ErrorStrategy
    with ld_eventsource.SSEClient(
            url, initial_retry_delay=0.001,
            # Three in a row: it would go on for ever with a header that it cannot send.
            error_strategy=ErrorStrategy.continue_with_max_attempts(3)) as client:
        return up_to_end([event.event, event.data, event.last_event_id or ""]
                         for event in client.events)


PYTHON = {
    "sseclient-py": ("sseclient", read_sseclient_py),
    "httpx-sse": ("httpx_sse", read_httpx_sse),
    "requests-sse": ("requests_sse", read_requests_sse),
    "aiohttp-sse-client2": ("aiohttp_sse_client2", read_aiohttp_sse_client2),
    "launchdarkly-eventsource": ("ld_eventsource", read_launchdarkly),
}


def run_python(reader, jobs):
    module, read = PYTHON[reader]
    pytest.importorskip(module)

    def answer(job):
        try:
            return read(job["url"])
        except Exception as error:
            return [[type(error).__name__]]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return list(pool.map(answer, jobs))


def run_node(reader, jobs):
    node = shutil.which("node")
    if not node:
        pytest.skip("node is not installed")
    options = []
    if reader == "node":
        help = subprocess.check_output([node, "--help"]).decode()
        if "--experimental-eventsource" not in help:
            pytest.skip("this node has no EventSource of its own")
        options = ["--experimental-eventsource"]
    elif not os.path.isdir(os.path.join(NODE_MODULES, reader)):
        pytest.skip("SSE_NODE_MODULES names no folder with the npm package " + reader)
    process = subprocess.run(
        [node] + options + [os.path.join(READERS, "node.js"), reader],
        input=json.dumps(jobs).encode("ascii"), stdout=subprocess.PIPE, timeout=300, check=True)
    return json.loads(process.stdout.decode("utf-8"))


def run_chromium(reader, jobs, browser, server):
    browser.get(server.url)
    browser.set_script_timeout(300)
    with io.open(os.path.join(READERS, "eventsource.js"), encoding="utf-8") as file:
        return browser.execute_async_script(
            file.read() + "readAll(EventSource, arguments[0]).then(arguments[1]);", jobs)


ALL = list(PYTHON) + ["eventsource-parser", "eventsource", "node", "chromium"]
# The others leave it to their users to come back.
COMING_BACK = [reader for reader in ALL
               if reader not in ("sseclient-py", "httpx-sse", "eventsource-parser")]


@pytest.fixture(scope="module", params=ALL)
def reader(request):
    return request.param


@pytest.fixture(scope="module")
def run(reader, request, server):
    if reader in PYTHON:
        return lambda jobs: run_python(reader, jobs)
    if reader == "chromium":
        browser = request.getfixturevalue("browser")
        return lambda jobs: run_chromium(reader, jobs, browser, server)
    return lambda jobs: run_node(reader, jobs)


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


def seen(row):
    return row["events"] + [["end", ".", row.get("last_event_id", "")]]


@pytest.fixture(scope="module")
def answers(reader, run, server):
    """What the reader gives for each case."""
    cases = [(number, kind) for number in range(len(CASES)) for kind in KINDS]
    jobs = []
    for number, kind in cases:
        row = CASES[number]
        if reader == "eventsource-parser":
            sse, wire = made(row)
            wire = wire + [sse.data_to_send(), made(ENDED)[0].data_to_send()]
            jobs.append({"pieces": [base64.b64encode(piece).decode() for piece in
                                    (pieces(wire) if kind == "pieces" else wire)]})
        else:
            jobs.append({"url": "%s/%s/%d/%s" % (server.url, kind, number, reader), "seconds": 30,
                         "types": sorted({event[0] for event in row["events"]})})
    answers = run(jobs)
    if reader == "eventsource":
        # Its lastEventId is "" for an event without an id field, so a reset goes unseen.
        answers = [list(with_last_event_id(events, none="")) for events in answers]
    return dict(zip(cases, answers))


@pytest.mark.parametrize("number", range(len(CASES)), ids=[row["name"] for row in CASES])
def test_case(reader, answers, number):
    row = CASES[number]
    expected = DEPARTURES.get((reader, row["name"]), seen(row))
    for kind in KINDS:
        assert (kind, answers[number, kind]) == (kind, expected)


@pytest.fixture(scope="module")
def returns(reader, run, server):
    """Of each stream that drops: the last event ID and the time of each of its requests."""
    jobs, paths = [], []
    for number, (name, _, _) in enumerate(RETURNS):
        never = DEPARTURES.get((reader, "return: " + name)) == []
        paths.append("/return/%d/%s" % (number, reader))
        jobs.append({"url": server.url + paths[-1], "types": ["e"], "returns": True,
                     "seconds": 2 if never else 30})
    run(jobs)
    return {name: server.visits[path] for (name, _, _), path in zip(RETURNS, paths)}


@pytest.mark.parametrize("reader", COMING_BACK, indirect=True, scope="module")
@pytest.mark.parametrize("name, header", [(name, header) for name, _, header in RETURNS],
                         ids=[name for name, _, _ in RETURNS])
def test_return(reader, returns, name, header):
    headers = [header for header, _ in returns[name]]
    assert headers[0] is None
    assert headers[1:] == DEPARTURES.get((reader, "return: " + name), [header, header])


@pytest.mark.parametrize("reader", COMING_BACK, indirect=True, scope="module")
def test_retry(reader, returns):
    # Longer than anyone waits by default. No upper bound: clients may wait longer.
    first, second = [when for _, when in returns["retry"]][:2]
    in_time = second - first >= 3.5
    assert in_time == DEPARTURES.get((reader, "retry"), True)


def test_departures():
    """There is nothing in the table that is not tested, and nothing that is right."""
    tested = {row["name"]: seen(row) for row in CASES}
    tested.update(("return: " + name, [header, header]) for name, _, header in RETURNS)
    tested["retry"] = True
    for (_, case), gives in DEPARTURES.items():
        assert gives != tested[case]
