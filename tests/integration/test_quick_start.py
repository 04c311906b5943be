"""The README's quick start, and its answers, as a new user runs them."""

from __future__ import unicode_literals

import pytest
import requests
import six

from loopback import Client


def test_quick_start(start):
    process, url = start("quick_start.py")
    with process, Client(url + "events") as one, Client(url + "events") as two:
        assert one.response.headers["Content-Type"] == "text/event-stream"
        for client in one, two:
            assert client.read_until(b"\n\n").startswith(b"retry: ")
        assert requests.post(url + "add", data="h\xe9".encode("utf-8"), timeout=10).ok
        for client in one, two:
            assert client.read_until(b"\n\n").startswith(
                b'event: news\ndata: "h\\u00e9"\nid: ')
        assert "EventSource" in requests.get(url, timeout=10).text


@pytest.mark.parametrize("name, question, answer", [
    ("answer_flask.py", "", "This takes its time"),
] + [("answer_fastapi.py", "?question=Why", "You asked: Why")] * (not six.PY2))
def test_answer(start, name, question, answer):
    words = "".join(["event: word\ndata: %s\n\n" % word for word in answer.split()])
    process, url = start(name)
    with process, Client(url + "answer" + question) as client:
        assert client.rest().decode("ascii") == (
            "retry: 2000\n\n" + words + "event: done\ndata: \n\n")
