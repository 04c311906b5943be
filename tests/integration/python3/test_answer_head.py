"""HEAD to an answer, in the frameworks whose routes for GET take it too."""

import http.client

import pytest

from loopback import free_port, python, running

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


@pytest.mark.parametrize("text", [STARLETTE, DJANGO], ids=["starlette", "django"])
def test_head(tmp_path, text):
    (tmp_path / "served.py").write_text(text)
    port = free_port()
    command = python("-m", "uvicorn", "--port=%d" % port, "--timeout-graceful-shutdown=1",
                     "served:app")
    with running(command, port, cwd=str(tmp_path)):
        first = connected(port)
        assert get(first, "HEAD", "/open") == b""
        assert get(first, "GET", "/begun") == b"0"      # at once, on the same connection
        assert get(first, "HEAD", "/bare") == b""
        first.request("GET", "/begun")
        # It waits for the whole answer that nobody gets.
        assert get(connected(port), "GET", "/begun") == b"1"
        first.sock.settimeout(1)
        with pytest.raises(OSError):
            first.getresponse()
        get(connected(port), "GET", "/go")
