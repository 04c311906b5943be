"""The sessions of docs/ that need Python 3."""

import asyncio
import doctest

from docs import DOCUMENTS, session


def test_sessions(loop, monkeypatch):
    if not hasattr(asyncio, "run"):     # Python 3.6
        monkeypatch.setattr(asyncio, "run", loop.run_until_complete, raising=False)
    results = [doctest.DocTestRunner().run(session(path, "pycon")) for path in DOCUMENTS]
    assert sum(result.failed for result in results) == 0
    assert sum(result.attempted for result in results) >= 5
