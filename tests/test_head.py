"""HEAD leaves nothing open."""

from __future__ import unicode_literals

from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from sse import Channel, HEADERS, Sse


def environ(method="GET", **more):
    return dict({"REQUEST_METHOD": str(method)}, **more)


class Request(object):
    def __init__(self, **attributes):
        vars(self).update(attributes)


@pytest.mark.parametrize("request_of", [
    environ,
    lambda method: {"type": "http", "method": method, "headers": []},
    lambda method: Request(environ=environ(method)),
    lambda method: Request(META=environ(method)),
    lambda method: Request(scope={"type": "http", "method": method, "headers": []}),
    lambda method: Request(headers={}, method=method),
], ids=["environ", "scope", "Flask", "Django", "Starlette", "aiohttp"])
def test_head_leaves_nothing_open(request_of):
    channel = Channel(history=5)
    head = channel.open(request_of("HEAD"))
    assert head.closed and bytes(head) == b""
    assert channel.streams == []
    client = channel.open(request_of("GET"))
    assert not client.closed and channel.streams == [client]


def test_a_header_named_method_is_not_a_head_request():
    assert not Channel().open({"method": "HEAD"}).closed
    assert not Channel().open(Request(headers={"method": "HEAD"}, method="GET")).closed


def test_an_sse_as_wsgi_application():
    sse = Sse()
    called = []

    def start_response(status, headers, exc_info=None):
        called.append((status, headers))

    complete = environ("HEAD", QUERY_STRING=str(""))
    setup_testing_defaults(complete)
    response = validator(sse)(complete, start_response)
    assert list(response) == []
    response.close()
    assert called == [("200 OK", list(HEADERS))]
    assert sse.closed
