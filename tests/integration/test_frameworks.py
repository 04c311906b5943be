# -*- coding: utf-8 -*-
"""The applications of examples/frameworks for threads, under real servers."""

from __future__ import unicode_literals

import os

import pytest
import six

import framework_checks
from framework_checks import COMPLETE, CUT, Row, serving, TYPE, WRITES
from loopback import Client, free_port, python, running

HERE = os.path.dirname(os.path.abspath(__file__))


def row(name, application, command=None, **options):
    """Nobody is noticed who waits, but by writing to them."""
    return Row(name, application, command, waiting=WRITES, kind="stream", **options)


ROWS = [row(name, application, buffers=True) for name, application in [
    ("WSGI, waitress", "wsgi_app"), ("Flask, waitress", "flask_app"),
    ("Django, waitress", "django_app"), ("Bottle, waitress", "bottle_app"),
    ("Falcon, waitress", "falcon_app"), ("Pyramid, waitress", "pyramid_app"),
]] + [
    # On Python 2 in HTTP/1.0, where any end is a proper one.
    row("Flask, flask run", "flask_app", "flask run", FLASK_APP="harness:app",
        failure=COMPLETE if six.PY2 else CUT),
    row("Flask, gunicorn gthread", "flask_app", "gunicorn --threads=20 flask_app:app"),
    row("Flask, gunicorn gevent", "flask_app", "gunicorn --worker-class=gevent flask_app:app"),
]


@pytest.fixture(scope="module", params=ROWS, ids=[each.name for each in ROWS])
def server(request):
    with serving(request.param, "harness", HERE) as server:
        yield server


class TestEvents(framework_checks.Events):
    pass


class TestClients(framework_checks.Clients):
    pass


VERSION_1_SERVERS = {"bottle": "waitress", "django": "waitress", "falcon": "waitress",
                     "flask": "waitress", "pyramid": "waitress"}
if not six.PY2:
    VERSION_1_SERVERS["starlette"] = "uvicorn"

VERSION_1 = {
    "/text": ("retry: 2000\n\n"
              "event: greeting\ndata: grüß\u2028dich\ndata: Hello\n\n"),
    "/again": ("retry: 2000\n\nevent: time\ndata: one\n\n"
               "event: time\ndata: two\n\nevent: date\ndata: three\n\n"
               "event: time\ndata: four\nid: 4\n\n"),
}


@pytest.mark.parametrize("framework", sorted(VERSION_1_SERVERS))
def test_both_ways_of_version_1(framework):
    port = free_port()
    if VERSION_1_SERVERS[framework] == "uvicorn":
        command = ["-m", "uvicorn", "--port=%d" % port, "--factory"]
    else:
        command = ["-m", "waitress", "--listen=127.0.0.1:%d" % port, "--call"]
    url = "http://127.0.0.1:%d" % port
    with running(python(*(command + ["version_1:" + framework])), port, cwd=HERE):
        for path in sorted(VERSION_1):
            with Client(url + path) as client:
                assert client.response.status_code == 200
                assert TYPE.match(client.response.headers["Content-Type"])
                assert client.rest().decode("utf-8") == VERSION_1[path]
