"""The clients that read: `run(reader, jobs)` gives the events of each job.

A job has a `url`, the `types` of its events, and after how many `seconds` it is given up;
`returns` says whether to reconnect after a drop. The answer is a list of [type, data, last event
ID], up to and with the event "end"; what went wrong instead stands last, alone in its list.
"""

import asyncio
import concurrent.futures
import datetime
import io
import json
import os
import shutil
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
NODE_MODULES = os.environ.get("SSE_NODE_MODULES", "")
MILLISECOND = datetime.timedelta(milliseconds=1)


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
    for event in events:
        if len(event) == 3:
            last = last if event[2] == none else event[2]
            event = [event[0], event[1], last]
        yield event


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


def read_httpx2(url):
    import httpx2
    with httpx2.Client(timeout=20, verify=False) as client:
        with client.sse(url) as source:
            return up_to_end([event.event, event.data, event.id] for event in source)


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
    "httpx2": ("httpx2", read_httpx2),
    "requests-sse": ("requests_sse", read_requests_sse),
    "aiohttp-sse-client2": ("aiohttp_sse_client2", read_aiohttp_sse_client2),
    "launchdarkly-eventsource": ("ld_eventsource", read_launchdarkly),
}
NODE = ["eventsource-parser", "eventsource", "node"]
FETCH = "fetch-event-source"
ENGINES = ["chromium", "firefox", "webkit"]
FETCHING = ["eventsource", "node", FETCH]
ALL = list(PYTHON) + NODE + [FETCH] + ENGINES
# The others leave it to their users to reconnect.
RECONNECTING = [reader for reader in ALL if reader not in
                ("sseclient-py", "httpx-sse", "httpx2", "eventsource-parser")]


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


def npm(package):
    if not os.path.isdir(os.path.join(NODE_MODULES, package)):
        pytest.skip("SSE_NODE_MODULES names no folder with the npm package " + package)


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
    else:
        npm(reader)
    process = subprocess.run(
        [node] + options + [os.path.join(HERE, "node.js"), reader],
        input=json.dumps(jobs).encode("ascii"), stdout=subprocess.PIPE, timeout=300, check=True)
    return json.loads(process.stdout.decode("utf-8"))


def run_page(browser, jobs, client):
    """In the page that is open, which has to be of the jobs' server."""
    with io.open(os.path.join(HERE, "eventsource.js"), encoding="utf-8") as file:
        return browser.run(file.read() + client, jobs)


def run(reader, jobs, engines, url):
    """`url` is the address of the jobs' server."""
    if reader in PYTHON:
        return run_python(reader, jobs)
    if reader in NODE:
        answers = run_node(reader, jobs)
    elif reader == FETCH:
        npm("@microsoft/fetch-event-source")
        browser = engines("chromium")
        browser.open(url)
        answers = run_page(browser, jobs, """
            const path = "/npm/@microsoft/fetch-event-source/lib/esm/index";
            const { fetchEventSource } = await import(path);
            return await readAll(readFetchEventSource, fetchEventSource, arguments[0]);
        """)
    else:
        browser = engines(reader)
        browser.open(url)
        answers = run_page(browser, jobs, """
            return await readAll(readEventSource, EventSource, arguments[0]);
        """)
    if reader == FETCH:
        # Its id is "" for an event without an id field, so a reset goes unseen.
        answers = [list(with_last_event_id(events, none="")) for events in answers]
    return answers
