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


@pytest.mark.parametrize("name", ["answer_flask.py"] + ["answer_fastapi.py"] * (not six.PY2))
def test_answer(start, name):
    words = "".join(["event: word\ndata: %s\n\n" % word for word in "You asked: Why?".split()])
    process, url = start(name, "question.html")
    with process, Client(url + "answer?question=Why%3F") as client:
        assert client.read_until(b"\n\n").startswith(b"retry: ")
        assert client.rest().decode("ascii") == words + "event: done\ndata: \n\n"
        assert "EventSource" in requests.get(url, timeout=10).text
