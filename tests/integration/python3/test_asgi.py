"""The asynchronous applications of examples/frameworks, under real servers."""

import pytest

import framework_checks
from asgi_rows import ROWS, serve


@pytest.fixture(scope="module", params=ROWS, ids=[row.name for row in ROWS])
def server(request):
    with serve(request.param) as server:
        yield server


class TestEvents(framework_checks.Events):
    pass


class TestClients(framework_checks.Clients):
    pass
