"""What docs/ says of servers, against the tables of the tests; its examples, as one runs them."""

import contextlib
import os
import re
import socket
import subprocess

import pytest
import requests
from docs import blocks, found, ROOT
from docutils import nodes
from loopback import Client, environment, python, serving, wait_for

import test_asgi
import test_frameworks
import test_proxies
import test_servers
import test_stopping
from framework_checks import documented, FOLDER

FRAMEWORKS = os.path.join(ROOT, "docs", "frameworks.rst")
PROXIES = os.path.join(ROOT, "docs", "proxies.rst")
RUNNING = os.path.join(ROOT, "docs", "running.rst")
STOPPING = os.path.join(ROOT, "docs", "stopping.rst")
TESTING = os.path.join(ROOT, "docs", "testing.rst")


def table(document, heading):
    """The rows of the table whose first cells have these texts."""
    for node in found(document, nodes.table):
        rows = [[" ".join(entry.astext().split()) for entry in row.findall(nodes.entry)]
                for row in node.findall(nodes.row)]
        if rows[0][:len(heading)] == heading:
            return rows[1:]
    raise AssertionError("no such table in " + document)


def test_when_a_disconnected_client_is_noticed():
    shown = {}
    for frameworks, servers, *cells in table(FRAMEWORKS, ["Framework", "Servers"]):
        for framework in frameworks.split("; "):
            for server in servers.split("; "):
                name = framework if server == "itself" else framework + ", " + server
                shown[name] = cells
    tested = {row.name: [row.waiting, row.blocked, row.failure]
              for row in test_asgi.ROWS + test_frameworks.ROWS}
    assert shown == tested


def test_servers_that_buffer():
    buffering = {row.name.split(", ")[1] for row in test_asgi.ROWS + test_frameworks.ROWS
                 if row.buffers}
    assert buffering == {"daphne", "waitress"}
    with open(RUNNING) as file:
        assert "daphne and waitress read ahead of the client into buffers" in file.read()


def test_each_framework_is_shown():
    shown = {block.path for page in (FRAMEWORKS, STOPPING) for block in blocks(page) if block.path}
    assert shown >= {"examples/frameworks/" + name for name in os.listdir(FOLDER)
                     if name.endswith(".py") and name != "django_asgi_app.py"}


def test_when_proxies_notice():
    shown = {row[0]: row[1] for row in table(PROXIES, ["Proxy"])}
    assert shown == {name: noticed for name, _, _, noticed in test_proxies.PROXIES}


def test_servers_for_threads():
    names = [row[0] for row in table(RUNNING, ["Server", "Streams at once"])]
    assert sorted(names) == sorted(row.name for row in test_servers.ROWS)


def test_servers_for_an_event_loop():
    names = [row[0] for row in table(RUNNING, ["Server", "What to know"])]
    assert set(names) == {row.command.split()[0] for row in test_asgi.ROWS} - {"python", "sanic"}


WORDS = {"waiting": "waits", "cut off": "cut off", "ended": "ended"}
FOUND = {"stopping.py", "gunicorn.conf.py", "both"} | {
    name for name in os.listdir(FOLDER) if "_serve" in name or "_app" in name}


def test_stopping_table():
    shown = {}
    for name, *cells, unread, recipe in table(STOPPING, ["Server", "SIGINT, by default"]):
        shown[name] = [cell.split(",")[0] for cell in cells] + [bool(unread)]
        assert bool(recipe) == bool(cells[-1]) and recipe in FOUND | {""}
    tested = {row.name: 4 * [""] + [row in test_stopping.UNREAD]
              for row in test_stopping.DEFAULTS + test_stopping.RECIPES}
    for column, rows in (0, test_stopping.DEFAULTS), (2, test_stopping.RECIPES):
        for row in rows:
            tested[row.name][column:column + 2] = [
                WORDS[row.sigint.clients], WORDS[row.sigterm.clients]]
    assert shown == tested


def test_recycling_table():
    shown = {name: [cell.split(",")[0] for cell in cells] for name, *cells, recipe in
             table(STOPPING, ["Server", "By default", "With the recipe"])}
    assert shown == {row.name: [WORDS[outcome[0]] if outcome else ""
                                for outcome in (row.default, row.recipe)]
                     for row in test_stopping.AGAIN}


def test_commands_are_those_of_the_tests():
    """A command in running.rst for a file of examples/frameworks has the options of its row."""
    text = "".join(block.text for block in blocks(RUNNING) if block.language == "")
    for program, application in ("waitress-serve", "flask_app"), ("uvicorn", "starlette_app"):
        command, = re.findall("^%s .*$" % program, text, re.MULTILINE)
        assert command == documented(application)


def test_tests_of_endpoints():
    path = "PYTHONPATH=examples:examples/frameworks"
    with open(TESTING) as file:
        assert "    %s pytest examples/testing\n" % path in file.read()
    subprocess.run(
        python("-m", "pytest", "-p", "no:cacheprovider", "examples/testing"),
        check=True, timeout=60, cwd=ROOT,
        env=environment(PYTHONPATH=path.partition("=")[2], PYTHONDONTWRITEBYTECODE="1"))


UVICORN = ["-m", "uvicorn", "--port={port}", "--timeout-graceful-shutdown=1"]


@pytest.fixture
def project(tmp_path):
    """The environment of a Django project that has the application `news`."""
    (tmp_path / "settings.py").write_text(
        'import os\n'
        'ALLOWED_HOSTS = ["127.0.0.1"]\nINSTALLED_APPS = ["news"]\n'
        'MIDDLEWARE = os.environ.get("MIDDLEWARE", "").split()\n'
        'ROOT_URLCONF = "urls"\nSECRET_KEY = "for tests"\n')
    (tmp_path / "urls.py").write_text(
        "from django.urls import path\nfrom news import views\n"
        'urlpatterns = [path("events", views.events), path("add", views.add)]\n')
    (tmp_path / "asgi.py").write_text(
        "from django.core.asgi import get_asgi_application\n"
        "application = get_asgi_application()\n")
    return dict(DJANGO_SETTINGS_MODULE="settings", PYTHONDONTWRITEBYTECODE="1",
                PYTHONPATH=os.pathsep.join([str(tmp_path), os.path.abspath(FOLDER)]))


def post(server):
    return requests.post(server.url + "/add", data="hello", timeout=10,
                         headers={"Content-Type": "text/plain"}).status_code


def test_django_project(project):
    with serving(*UVICORN, "asgi:application", env=environment(**project)) as server:
        with Client(server.url + "/events") as client:
            client.read_until(b"\n\n")
            assert post(server) == 204
            assert client.read_until(b"\n\n").startswith(b'event: news\ndata: "hello"\n')
    subprocess.run(python("-m", "django", "test", "news"), check=True, timeout=60,
                   env=environment(**project))


def test_django_wants_its_csrf_token(project):
    project.update(MIDDLEWARE="django.middleware.csrf.CsrfViewMiddleware")
    with serving(*UVICORN, "asgi:application", env=environment(**project)) as server:
        assert post(server) == 403


def test_runserver_sends_nothing_of_astream(project):
    command = ["-m", "django", "runserver", "--noreload", "{port}"]
    with serving(*command, env=environment(**project)) as server, \
            socket.create_connection(("127.0.0.1", server.port), 2) as sock:
        sock.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        with pytest.raises(socket.timeout):
            sock.recv(1)


# With a plain function beside it.
THREADS = """
import sse
sse.Sse.astream = sse.Sse.stream
from starlette_app import app
from starlette.responses import Response
from starlette.routing import Route
app.router.routes.append(Route("/plain", lambda request: Response("x")))
"""


def test_stream_in_starlette_takes_its_threads(tmp_path):
    (tmp_path / "threads.py").write_text(THREADS)
    path = environment(PYTHONPATH=os.path.abspath(FOLDER))
    with serving(*UVICORN, "threads:app", cwd=str(tmp_path), env=path) as server, \
            contextlib.ExitStack() as stack:
        def answers():
            with contextlib.suppress(requests.Timeout):
                return requests.get(server.url + "/plain", timeout=2).text == "x"

        for _ in range(39):
            stack.enter_context(Client(server.url + "/events")).read_until(b"\n\n")
        assert answers()
        stack.enter_context(Client(server.url + "/events")).read_until(b"\n\n")
        wait_for(lambda: not answers())


FASTAPI = """
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse
from sse import Channel, HEADERS

app, channel, opened = FastAPI(), Channel(), []


def session():
    opened.append(1)
    yield
    opened.pop()


@app.get("/request")
async def request(session=Depends(session)):
    return StreamingResponse(channel.open().astream(), headers=dict(HEADERS))


@app.get("/function")
async def function(session=Depends(session, scope="function")):
    return StreamingResponse(channel.open().astream(), headers=dict(HEADERS))


@app.get("/opened")
async def number():
    return len(opened)
"""


def test_dependencies_of_fastapi(tmp_path):
    (tmp_path / "dependencies.py").write_text(FASTAPI)
    with serving(*UVICORN, "dependencies:app", cwd=str(tmp_path)) as server:
        for path, opened in ("/request", 1), ("/function", 0):
            with Client(server.url + path) as client:
                client.read_until(b"\n\n")
                assert requests.get(server.url + "/opened", timeout=10).json() == opened
            wait_for(lambda: requests.get(server.url + "/opened", timeout=10).json() == 0)


def test_teardown_of_flask():
    flask = pytest.importorskip("flask")
    import sse
    app, channel, done = flask.Flask(__name__), sse.Channel(), []

    @app.route("/")
    def events():
        return flask.Response(channel.open().stream(), headers=sse.HEADERS)

    app.teardown_appcontext(done.append)
    with contextlib.closing(app.test_client().get("/")):
        assert done == [None] and len(channel.streams) == 1
