"""What a stream holds of a database: connections are counted, in real servers."""

import contextlib
import os

import pytest
import requests

from loopback import Client, environment, EXAMPLES, free_port, python, running, wait_for

FOLDER = os.path.abspath(os.path.join(EXAMPLES, "databases"))

# Each application is an example's, with /count, which says how many connections there are, and
# what the documentation warns of. A garbage collection would close some of them.
COLLECT = "import gc\ngc.disable()\n"

FLASK = COLLECT + """
from flask_app import *

with app.app_context():
    db.create_all()
    db.session.add(Note(text="hello"))
    db.session.commit()


@app.route("/count")
def count():
    return str(db.engine.pool.checkedout())


def bare(sse):
    for text in db.session.scalars(db.select(Note.text)):
        sse.add_json("note", text)


@app.route("/bare")
def no_context():
    return Response(answers.open(request).stream(producer=bare), headers=HEADERS)
"""

FASTAPI = COLLECT + """
import time
from fastapi import Depends
from fastapi_app import *

Base.metadata.create_all(engine)
with Session(engine) as session:
    session.add(Note(text="hello"))
    session.commit()


@app.get("/count")
async def count():
    return engine.pool.checkedout()


def session():
    with Session(engine) as session:
        yield session


def respond(request, session):
    def write(sse):
        for text in session.scalars(select(Note.text)):
            sse.add_json("note", text)
        while not sse.closed and not go_on:
            time.sleep(.01)
    return StreamingResponse(answers.open(request).astream(producer=write), headers=dict(HEADERS))


go_on = []


@app.get("/go")
async def go():
    go_on.append(True)


@app.get("/request")
async def request(request: Request, session=Depends(session)):
    return respond(request, session)


@app.get("/function")
async def function(request: Request, session=Depends(session, scope="function")):
    return respond(request, session)
"""

DJANGO = COLLECT + """
import asyncio
import psutil
from asgiref.sync import sync_to_async
from django.core.asgi import get_asgi_application
from django_app import *
from django.http import HttpResponse

with connection.cursor() as cursor:
    cursor.execute("CREATE TABLE note (text TEXT)")
    cursor.execute("INSERT INTO note VALUES ('hello')")
connections.close_all()
path_of = os.path.realpath(os.environ["DATABASE"])


def count(request):
    return HttpResponse(str([file.path for file in psutil.Process().open_files()].count(path_of)))


def query():
    with connection.cursor() as cursor:
        cursor.execute("SELECT text FROM note")
        return cursor.fetchone()[0]


def bare(sse):
    sse.add_json("note", query())


def no_close(request):
    return StreamingHttpResponse(answers.open(request).stream(producer=bare),
                                 headers=dict(HEADERS))


def held(request):
    query()
    return StreamingHttpResponse(answers.open(request).stream(), headers=dict(HEADERS))


def released(request):
    response = held(request)
    connections.close_all()
    return response


async def plain(request):
    return StreamingHttpResponse(answers.open(request).astream(producer=write),
                                 headers=dict(HEADERS))


async def task(request):
    async def produce(sse):
        sse.add_json("note", await sync_to_async(query)())
        await asyncio.sleep(0)
    return StreamingHttpResponse(answers.open(request).astream(producer=produce),
                                 headers=dict(HEADERS))


urlpatterns += [path(view.__name__, view)
                for view in (count, no_close, held, released, plain, task)]
asgi = get_asgi_application()
"""


@contextlib.contextmanager
def serving(tmp_path, text, *server):
    """The URL of an application that is in `text`."""
    (tmp_path / "served.py").write_text(text)
    port = free_port()
    database = str(tmp_path / "notes.db")
    variables = dict(DATABASE=database, DATABASE_URL="sqlite:///" + database, PYTHONPATH=FOLDER)
    command = python(*[part.format(port=port) for part in server])
    with running(command, port, cwd=str(tmp_path), env=environment(**variables)):
        yield "http://127.0.0.1:%d/" % port


GUNICORN = ["-m", "gunicorn", "--threads=8", "--graceful-timeout=1", "--no-control-socket",
            "--bind=127.0.0.1:{port}", "served:app"]
UVICORN = ["-m", "uvicorn", "--timeout-graceful-shutdown=1", "--port={port}", "served:app"]


def count(url):
    return int(requests.get(url + "count", timeout=10).text)


@pytest.mark.parametrize("text, server, bare", [
    (FLASK, GUNICORN, "bare"), (DJANGO, GUNICORN, "no_close"), (FASTAPI, UVICORN, None),
], ids=["flask", "django", "fastapi"])
def test_an_answer_gives_its_connection_back(tmp_path, text, server, bare):
    with serving(tmp_path, text, *server) as url:
        for _ in range(3):
            with Client(url + "notes") as client:
                client.read_until(b'data: "hello"\n\n')     # and disconnects
            answer = requests.get(url + "notes", timeout=10).text
            assert answer.endswith('event: note\ndata: "hello"\n\nevent: done\ndata: \n\n')
            assert count(url) == 0
        for number in range(1, 4) if bare else ():
            assert 'data: "hello"\n' in requests.get(url + bare, timeout=10).text
            assert count(url) == number


def test_producers_of_django_under_asgi(tmp_path):
    with serving(tmp_path, DJANGO, *UVICORN[:-1], "served:asgi") as url:
        for path in ("plain", "task") * 2:
            with Client(url + path) as client:
                client.read_until(b'data: "hello"\n\n')
            assert 'data: "hello"\n' in requests.get(url + path, timeout=10).text
            wait_for(lambda: count(url) == 0)


def test_a_view_of_django_keeps_its_connection_while_its_stream_is_open(tmp_path):
    with serving(tmp_path, DJANGO, *GUNICORN) as url:
        for path, number in ("released", 0), ("held", 1):
            with Client(url + path) as client:
                client.read_until(b"\n\n")
                assert count(url) == number


def test_a_dependency_of_fastapi(tmp_path):
    with serving(tmp_path, FASTAPI, *UVICORN) as url:
        with Client(url + "request") as client:
            client.read_until(b'data: "hello"\n\n')
            assert count(url) == 1                          # while it is being written
        wait_for(lambda: count(url) == 0)
        with Client(url + "function") as client:
            client.read_until(b'data: "hello"\n\n')
        requests.get(url + "go", timeout=10)
        assert requests.get(url + "function", timeout=10).text.endswith('data: "hello"\n\n')
        assert count(url) == 2                              # closed before, opened again, and kept
