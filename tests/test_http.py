# -*- coding: utf-8 -*-
"""HTTP: `HEADERS`, `last_event_id` and an `Sse` as a WSGI application."""

from __future__ import unicode_literals

from wsgiref.util import is_hop_by_hop, setup_testing_defaults
from wsgiref.validate import validator

import pytest
import six

from sse import HEADERS, last_event_id, Sse


def test_headers():
    assert HEADERS == (("Content-Type", "text/event-stream"),
                       ("Cache-Control", "no-store, no-transform"), ("X-Accel-Buffering", "no"))
    assert type(HEADERS) is tuple
    for pair in HEADERS:
        assert type(pair) is tuple
        assert [type(item) for item in pair] == [str, str]
        assert not is_hop_by_hop(pair[0])


@pytest.mark.parametrize("octets, event_id", [
    (b"7", "7"), (b"", None), (b"0", "0"), (b" ", " "), (b"\xe2\x80\xa6", "\u2026"),
    (b"\xf0\x9f\x98\x80", "\U0001f600"), (b"\xef\xbb\xbf7", "\ufeff7"), (b"a\x00b", "a\x00b"),
    (b"a\r\nb", "a\r\nb"), (b"\xff", None), (b"7\xff", None), (b"\xe2\x80", None),
    (b"\xed\xa0\x80", None), (b"\xc0\x8a", None), (b"\xe9", None), (b"x" * 65536, "x" * 65536),
])
def test_last_event_id(octets, event_id):
    # PEP 3333: bytes, on Python 3 as the characters of latin-1.
    environ = {"HTTP_LAST_EVENT_ID": octets if six.PY2 else octets.decode("latin-1")}
    received = last_event_id(environ)
    assert received == event_id
    assert received is None or type(received) is six.text_type


@pytest.mark.parametrize("environ", [
    {}, {"HTTP_LAST_EVENT_ID": None}, {"HTTP_LAST_EVENT_ID": "\u2026"}, {"HTTP_LAST_EVENT_ID": ""},
    {"HTTP_LAST_EVENT_ID": "\ud800"}, {"LAST_EVENT_ID": "7"}, {"Last-Event-ID": "7"},
])
def test_no_last_event_id(environ):
    assert last_event_id(environ) is None


def start_response(status, headers, exc_info=None):
    start_response.called = status, headers


def environ(method):
    result = {"REQUEST_METHOD": str(method), "QUERY_STRING": str("")}
    setup_testing_defaults(result)
    return result


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_the_wsgi_application(method):
    sse = Sse()
    sse.add_message("a", "1")
    response = validator(sse)(environ(method), start_response)
    assert next(iter(response)) == b"retry: 2000\n\nevent: a\ndata: 1\n\n"
    assert start_response.called == ("200 OK", list(HEADERS))
    assert not sse.closed
    response.close()
    assert sse.closed


def test_the_wsgi_application_to_head():
    sse = Sse()
    response = validator(sse)(environ("HEAD"), start_response)
    assert list(response) == []
    response.close()
    assert start_response.called == ("200 OK", list(HEADERS))
    assert sse.closed
