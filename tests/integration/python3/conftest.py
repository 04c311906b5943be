"""What several files here ask for: the three browser engines, each started once, and a Redis."""

import contextlib

import pytest

from browsers import ENGINES


@pytest.fixture(scope="session")
def engines():
    """`engines(name)` is the `Browser` of that name."""
    started = {}
    with contextlib.ExitStack() as stack:
        def start(name):
            if name not in started:
                started[name] = stack.enter_context(ENGINES[name]())
            return started[name]
        yield start


@pytest.fixture(params=list(ENGINES))
def browser(request, engines):
    """Each of the three in turn. The test leaves its page, so that its server can stop."""
    browser = engines(request.param)
    yield browser
    browser.open("about:blank")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A `redis_server.RedisServer` that runs."""
    from redis_server import RedisServer
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()
