"""The asynchronous applications of examples/frameworks, under real servers."""

import os

import pytest

import framework_checks
from framework_checks import COLLECTED, COMPLETE, POLLED, Row, serving, SILENCE, WRITES

HYPERCORN = "hypercorn %s:app"
GUNICORN = "gunicorn --worker-class=uvicorn_worker.UvicornWorker %s:app"

ROWS = [
    Row("Starlette, uvicorn", "starlette_app"),
    Row("Starlette, uvicorn with uvloop", "starlette_app",
        "uvicorn --loop=uvloop starlette_app:app"),
    Row("Starlette, hypercorn", "starlette_app", HYPERCORN % "starlette_app"),
    Row("Starlette, gunicorn", "starlette_app", GUNICORN % "starlette_app"),
    Row("Starlette, granian", "starlette_app", "granian starlette_app:app"),
    Row("FastAPI, uvicorn", "fastapi_app"),
    Row("FastAPI, hypercorn", "fastapi_app", HYPERCORN % "fastapi_app"),
    Row("FastAPI with a middleware, uvicorn", "fastapi_middleware",
        "uvicorn fastapi_middleware:app", blocked=COLLECTED, failure=COMPLETE),
    Row("Quart, hypercorn", "quart_app"),
    Row("Quart, uvicorn", "quart_app", "uvicorn quart_app:app"),
    Row("Django, uvicorn", "django_asgi_app"),
    Row("Django, hypercorn", "django_asgi_app", HYPERCORN % "django_asgi_app"),
    Row("Django, daphne", "django_asgi_app", "daphne django_asgi_app:app", buffers=True,
        failure=SILENCE),
    Row("aiohttp", "aiohttp_app"),
    Row("aiohttp without handler_cancellation", "aiohttp_app", waiting=WRITES, blocked=COLLECTED,
        CHANGE=", handler_cancellation=True=>"),
    Row("Litestar, uvicorn", "litestar_app"),
    Row("Sanic", "sanic_app", failure=COMPLETE),
    Row("Tornado", "tornado_app", failure=COMPLETE),
    Row("Falcon, uvicorn", "falcon_asgi_app", waiting=WRITES),
    Row("BlackSheep, uvicorn", "blacksheep_app", waiting=POLLED, blocked=POLLED),
]


def serve(row):
    return serving(row, "asgi_harness", os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture(scope="module", params=ROWS, ids=[row.name for row in ROWS])
def server(request):
    with serve(request.param) as server:
        yield server


class TestEvents(framework_checks.Events):
    pass


class TestClients(framework_checks.Clients):
    pass
