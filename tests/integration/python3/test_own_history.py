"""examples/own_history.py: rows of a database, and then what is added, exactly."""

import pytest
import requests

from loopback import Client, EXAMPLES, wait_for
from streams import served


@pytest.fixture
def url(monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE", str(tmp_path / "notes.db"))
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.delitem(__import__("sys").modules, "own_history", raising=False)
    import own_history
    with served(own_history.app) as url:
        yield url
        own_history.channel.close()


def post(url, text):
    assert requests.post(url + "/notes", text, timeout=10).status_code == 204


def read(url, last, number):
    """The ids of so many events that a client gets who has seen `last`."""
    ids = []
    with Client(url + "/events", headers={"Last-Event-ID": str(last)} if last else {}) as client:
        while len(ids) < number:
            block = client.read_until(b"\n\n").decode("ascii")
            assert "event: reset" not in block
            if "event: note\n" in block:
                ids.append(int(block.partition("\nid: ")[2]))
    return ids


def test_no_row_is_missed_and_none_is_out_of_order(url, monkeypatch):
    import own_history
    execute = own_history.execute

    def interrupted(statement, *arguments):
        """Whenever rows are read, one is added just before, and one just after."""
        if not statement.startswith("SELECT"):
            return execute(statement, *arguments)
        post(url, "before")
        result = execute(statement, *arguments)
        post(url, "after")
        return result

    monkeypatch.setattr(own_history, "execute", interrupted)
    seen = 0
    for _ in range(40):
        # The first of the two is a row, and is replayed; the page passes over it.
        assert read(url, seen, 3) == [seen + 1, seen + 1, seen + 2]
        seen += 2
    assert read(url, 0, 83) == list(range(1, 82)) + [81, 82]


@pytest.mark.parametrize("last", ["x", "\u00b2", "9" * 40, "-1", "1e3"])
def test_an_id_that_is_none(url, last):
    post(url, "hello")
    with Client(url + "/events", headers={"Last-Event-ID": last.encode("utf-8")}) as client:
        assert client.response.status_code == 200


def test_a_client_that_disconnects(url):
    import own_history
    with Client(url + "/events") as client:
        client.read_until(b"\n\n")
        assert len(own_history.channel.streams) == 1
    for _ in range(2):
        post(url, "x" * 100000)     # it is noticed at a write
    wait_for(lambda: not own_history.channel.streams)


def test_the_page(url, browser):
    post(url, "<b>one</b>")
    browser.open(url)
    wait_for(lambda: browser.texts("li") == ["<b>one</b>"])
    browser.type("input", "two")
    browser.click("button")
    wait_for(lambda: browser.texts("li") == ["<b>one</b>", "two"])
