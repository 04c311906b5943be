"""The sessions of docs/ that need Python 3."""

import asyncio
import doctest

import pytest

from docs import DOCUMENTS, session

SESSIONS = {path: session(path, "pycon") for path in DOCUMENTS}


def run(main):
    """asyncio.run, which Python 3.6 lacks."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


@pytest.fixture(autouse=True)
def asyncio_run(monkeypatch):
    if not hasattr(asyncio, "run"):
        monkeypatch.setattr(asyncio, "run", run, raising=False)


def test_sessions():
    results = [doctest.DocTestRunner().run(found) for found in SESSIONS.values()]
    assert sum(result.failed for result in results) == 0
    assert sum(result.attempted for result in results) >= 5
