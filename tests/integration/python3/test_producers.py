"""Producers in real servers: HEAD, a client that does not read, a library that blocks."""

import contextlib
import http.client
import socket

import psutil
import pytest
import requests

from loopback import Client, free_port, python, running, wait_for

# `begun` has an item for each producer that was run; /begun gives their number.
PRODUCER = """
import asyncio
from sse import Channel, HEADERS, Sse

answers, begun, go_on = Channel(), [], asyncio.Event()


async def write(sse):
    begun.append(sse)
    await go_on.wait()


def streams(request):
    return {"/open": answers.open(request).astream(producer=write),
            "/bare": Sse().astream(producer=write)}
"""

STARLETTE = PRODUCER + """
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route


async def answer(request):
    return StreamingResponse(streams(request)[request.url.path], headers=dict(HEADERS))


async def number(request):
    return Response(str(len(begun)))


async def go(request):
    go_on.set()
    return Response("")


app = Starlette(routes=[Route("/open", answer), Route("/bare", answer), Route("/begun", number),
                        Route("/go", go)])
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


def connected(port):
    return http.client.HTTPConnection("127.0.0.1", port, timeout=10)


def get(connection, method, path):
    connection.request(method, path)
    return connection.getresponse().read()


UVICORN = ["-m", "uvicorn", "--timeout-graceful-shutdown=1", "--port={port}"]
GUNICORN = ["-m", "gunicorn", "--threads=4", "--graceful-timeout=1", "--no-control-socket",
            "--bind=127.0.0.1:{port}"]


@contextlib.contextmanager
def serving(tmp_path, text, server=UVICORN, app="served:app"):
    """The port of an application that is in `text`, and its process."""
    (tmp_path / "served.py").write_text(text)
    port = free_port()
    command = python(*[part.format(port=port) for part in server + [app]])
    with running(command, port, cwd=str(tmp_path)) as process:
        yield port, process


@pytest.mark.parametrize("text", [STARLETTE, DJANGO], ids=["starlette", "django"])
def test_head(tmp_path, text):
    """To open(request) it runs nothing; to a bare Sse() it runs the producer, and waits for it."""
    with serving(tmp_path, text) as (port, _):
        first = connected(port)
        assert get(first, "HEAD", "/open") == b""
        assert get(first, "GET", "/begun") == b"0"      # at once, on the same connection
        assert get(first, "HEAD", "/bare") == b""
        first.request("GET", "/begun")
        assert get(connected(port), "GET", "/begun") == b"1"
        first.sock.settimeout(1)
        with pytest.raises(OSError):
            first.getresponse()
        get(connected(port), "GET", "/go")


# An export of 20,000 rows of 10 kB, in each of the three ways; /added says how far it is.
EXPORT = """
from sse import Channel, HEADERS
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

ROWS = 20000
answers, added = Channel(default_retry=None), [0]


def write(sse):
    for added[0] in range(1, ROWS + 1):
        sse.add_message(None, "x" * 10000)
        sse.drain()


async def awrite(sse):
    for added[0] in range(1, ROWS + 1):
        sse.add_message(None, "x" * 10000)
        await sse.drain()


def threads(environ, start_response):
    if environ["PATH_INFO"] == "/added":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"%d" % added[0]]
    start_response("200 OK", list(HEADERS))
    return answers.open(environ).stream(producer=write)


async def export(request):
    producer = {"/plain": write, "/async": awrite}[request.url.path]
    stream = answers.open(request).astream(producer=producer)
    return StreamingResponse(stream, headers=dict(HEADERS))


async def number(request):
    return Response(str(added[0]))


app = Starlette(routes=[Route("/plain", export), Route("/async", export),
                        Route("/added", number)])
"""


def memory(process):
    """Bytes of a server and its workers."""
    family = [psutil.Process(process.pid)] + psutil.Process(process.pid).children(recursive=True)
    return sum(each.memory_info().rss for each in family)


@pytest.mark.parametrize("path, server, app", [
    ("/", GUNICORN, "served:threads"), ("/plain", UVICORN, "served:app"),
    ("/async", UVICORN, "served:app"),
], ids=["threads", "a plain function in asyncio", "asyncio"])
def test_drain_to_a_client_that_does_not_read(tmp_path, path, server, app):
    with serving(tmp_path, EXPORT, server, app) as (port, process), \
            socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        url = "http://127.0.0.1:%d" % port

        def added(last=[0]):
            """The number of rows, if it has not changed since the last look."""
            last.append(int(requests.get(url + "/added", timeout=10).text))
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
    daphne = ["-m", "daphne", "--bind=127.0.0.1", "--port={port}"]
    with serving(tmp_path, EXPORT, daphne) as (port, _), \
            socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        sock.sendall(b"GET /async HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        wait_for(lambda: requests.get(
            "http://127.0.0.1:%d/added" % port, timeout=10).text == "20000", 60)


BLOCKING = """
import threading
from sse import Channel, HEADERS
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

answers, barrier = Channel(default_retry=None), threading.Barrier(100)


def write(sse):
    sse.add_message(None, "begun")
    barrier.wait(60)                # a library that blocks, until 100 answers are being written
    sse.add_message(None, "done")


async def answer(request):
    return StreamingResponse(answers.open(request).astream(producer=write), headers=dict(HEADERS))


async def number(request):
    return Response(str(len(answers.streams)))


app = Starlette(routes=[Route("/answer", answer), Route("/number", number)])
"""


def test_a_hundred_answers_of_a_library_that_blocks(tmp_path):
    with serving(tmp_path, BLOCKING) as (port, _), contextlib.ExitStack() as stack:
        url = "http://127.0.0.1:%d/" % port
        clients = []
        for number in range(100):
            clients.append(stack.enter_context(Client(url + "answer", timeout=60)))
            clients[-1].read_until(b"data: begun\n\n")
            if number == 98:        # the loop answers meanwhile
                assert requests.get(url + "number", timeout=10).text == "99"
        for client in clients:
            assert client.rest() == b"data: done\n\n"
