"""Producers in real servers: HEAD, a client that does not read, a library that blocks."""

import contextlib
import socket

import psutil
import pytest
import requests

from loopback import Client, free_port, python, running, wait_for

# `begun` has an item for each producer that was run; /begun gives their number.
PRODUCER = """
import asyncio
from sse import Channel, HEADERS, Sse

answers, begun, go_on = Channel(default_retry=None), [], asyncio.Event()


async def wait(sse):
    begun.append(sse)
    await go_on.wait()


def streams(request):
    return {"/open": answers.open(request).astream(producer=wait),
            "/bare": Sse().astream(producer=wait)}
"""

# /plain and /async are an export of 20,000 rows of 10 kB; so is `threads`, for WSGI. /added says
# how far it is. /blocking is a library that blocks, until 100 answers are being written.
STARLETTE = PRODUCER + """
import threading
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

ROWS = 20000
added, barrier = [0], threading.Barrier(100)


def write(sse):
    for added[0] in range(1, ROWS + 1):
        sse.add_message(None, "x" * 10000)
        sse.drain()


async def awrite(sse):
    for added[0] in range(1, ROWS + 1):
        sse.add_message(None, "x" * 10000)
        await sse.drain()


def block(sse):
    sse.add_message(None, "begun")
    barrier.wait(60)
    sse.add_message(None, "done")


def threads(environ, start_response):
    if environ["PATH_INFO"] == "/added":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"%d" % added[0]]
    start_response("200 OK", list(HEADERS))
    return answers.open(environ).stream(producer=write)


async def answer(request):
    return StreamingResponse(streams(request)[request.url.path], headers=dict(HEADERS))


async def produced(request):
    producer = {"/plain": write, "/async": awrite, "/blocking": block}[request.url.path]
    stream = answers.open(request).astream(producer=producer)
    return StreamingResponse(stream, headers=dict(HEADERS))


async def number(request):
    numbers = {"/begun": len(begun), "/added": added[0], "/streams": len(answers.streams)}
    return Response(str(numbers[request.url.path]))


async def go(request):
    go_on.set()
    return Response("")


app = Starlette(routes=[Route("/go", go)] + [
    Route("/" + name, function) for names, function in [
        ("open bare", answer), ("plain async blocking", produced), ("begun added streams", number)]
    for name in names.split()])
"""

DJANGO = PRODUCER + """
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

settings.configure(ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF=__name__)


async def answer(request):
    return StreamingHttpResponse(streams(request)[request.path], headers=dict(HEADERS))


async def number(request):
    return HttpResponse(str(len(begun)))


async def go(request):
    go_on.set()
    return HttpResponse("")


urlpatterns = [path("open", answer), path("bare", answer), path("begun", number), path("go", go)]
app = get_asgi_application()
"""


UVICORN = ["-m", "uvicorn", "--timeout-graceful-shutdown=1", "--port={port}"]
DAPHNE = ["-m", "daphne", "--bind=127.0.0.1", "--port={port}"]
GUNICORN = ["-m", "gunicorn", "--threads=4", "--graceful-timeout=1", "--no-control-socket",
            "--bind=127.0.0.1:{port}"]


@contextlib.contextmanager
def serving(folder, text, server=UVICORN, app="served:app"):
    """The port of an application that is in `text`, and its process."""
    (folder / "served.py").write_text(text)
    port = free_port()
    command = python(*[part.format(port=port) for part in server + [app]])
    with running(command, port, cwd=str(folder)) as process:
        yield port, process


def get(port, path):
    return requests.get("http://127.0.0.1:%d/%s" % (port, path), timeout=10).text


@pytest.mark.parametrize("text", [STARLETTE, DJANGO], ids=["starlette", "django"])
def test_head(tmp_path, text):
    """To open(request) it runs nothing; to a bare Sse() it runs the producer, and waits for it."""
    with serving(tmp_path, text) as (port, _), requests.Session() as session:
        url = "http://127.0.0.1:%d/" % port
        assert session.head(url + "open", timeout=10).content == b""
        assert session.get(url + "begun", timeout=10).text == "0"   # on the same connection
        assert session.head(url + "bare", timeout=10).content == b""
        with pytest.raises(requests.RequestException):
            session.get(url + "begun", timeout=1)
        assert get(port, "begun") == "1"
        get(port, "go")


def memory(process):
    """Bytes of a server and its workers."""
    family = [psutil.Process(process.pid)] + psutil.Process(process.pid).children(recursive=True)
    return sum(each.memory_info().rss for each in family)


@pytest.mark.parametrize("path, server, app", [
    ("/", GUNICORN, "served:threads"), ("/plain", UVICORN, "served:app"),
    ("/async", UVICORN, "served:app"),
], ids=["threads", "a plain function in asyncio", "asyncio"])
def test_drain_to_a_client_that_does_not_read(tmp_path, path, server, app):
    with serving(tmp_path, STARLETTE, server, app) as (port, process), \
            socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        def added(last=[0]):
            """The number of rows, if it has not changed since the last look."""
            last.append(int(get(port, "added")))
            return last[-1] == last[-9:][0] and last[-1]

        added()
        before = memory(process)
        sock.sendall(b"GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n" % path.encode())
        assert wait_for(added) < 5000       # the rest of 200 MB is not made yet
        grown = memory(process) - before
        assert grown < 20 * 2 ** 20
        rest = 0
        while True:
            piece = sock.recv(2 ** 20)
            if not piece:
                break
            rest += piece.count(b"data: ")
        assert rest in range(19990, 20001)  # some are cut by the end of a piece
        assert memory(process) - before < 20 * 2 ** 20
        print("%s: %.1f MiB more" % (path, grown / 2 ** 20))


def test_drain_waits_for_nobody_under_daphne(tmp_path):
    """It takes all that it can get."""
    with serving(tmp_path, STARLETTE, DAPHNE) as (port, _), \
            socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        sock.sendall(b"GET /async HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        wait_for(lambda: get(port, "added") == "20000", 60)


def test_a_hundred_answers_of_a_library_that_blocks(tmp_path):
    with serving(tmp_path, STARLETTE) as (port, _), contextlib.ExitStack() as stack:
        clients = []
        for number in range(100):
            client = Client("http://127.0.0.1:%d/blocking" % port, timeout=60)
            clients.append(stack.enter_context(client))
            client.read_until(b"data: begun\n\n")
            if number == 98:        # the loop answers meanwhile
                assert get(port, "streams") == "99"
        for client in clients:
            assert client.rest() == b"data: done\n\n"
