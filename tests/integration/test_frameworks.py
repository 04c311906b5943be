# -*- coding: utf-8 -*-
"""The applications of examples/frameworks for threads, under real servers."""

from __future__ import unicode_literals

import os

import pytest
import six

import framework_checks
from framework_checks import COMPLETE, CUT, Row, serving, WRITES

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
