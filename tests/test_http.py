# -*- coding: utf-8 -*-
"""HTTP: `HEADERS`, `last_event_id` and an `Sse` as a WSGI application."""

from __future__ import unicode_literals

from wsgiref.util import is_hop_by_hop, setup_testing_defaults
from wsgiref.validate import validator

import pytest
import six

from sse import Channel, HEADERS, last_event_id, Sse

try:
    from time import process_time
except ImportError:
    from time import clock as process_time


def test_headers():
    assert HEADERS == (("Content-Type", "text/event-stream"),
                       ("Cache-Control", "no-store, no-transform"), ("X-Accel-Buffering", "no"))
    assert type(HEADERS) is tuple
    for pair in HEADERS:
        assert type(pair) is tuple
        assert [type(item) for item in pair] == [str, str]
        assert not is_hop_by_hop(pair[0])


OCTETS = [
    (b"7", "7"), (b"", None), (b"0", "0"), (b" ", " "), (b"\xe2\x80\xa6", "\u2026"),
    (b"\xf0\x9f\x98\x80", "\U0001f600"), (b"\xef\xbb\xbf7", "\ufeff7"), (b"a\x00b", "a\x00b"),
    (b"a\r\nb", "a\r\nb"), (b"7\xff", None), (b"\xe2\x80", None), (b"\xed\xa0\x80", None),
    (b"\xc0\x8a", None), (b"x" * 65536, "x" * 65536),
]


def native(octets):
    """PEP 3333: bytes, on Python 3 as the characters of latin-1."""
    return octets if six.PY2 else octets.decode("latin-1")


def environ_of(octets, method="GET", **more):
    return dict({"REQUEST_METHOD": str(method), "HTTP_LAST_EVENT_ID": native(octets)}, **more)


def scope_of(octets, method="GET"):
    return {"type": "http", "method": method,
            "headers": [(b"host", b"x"), (b"last-event-id", octets)]}


class Request(object):
    """A request object of a framework, with the attributes that are given."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


class SanicRequest(Request):
    @property
    def scope(self):
        raise NotImplementedError


class Raises(Request):
    @property
    def method(self):
        raise RuntimeError

    environ = scope = method


class MappingRequest(Request, dict):
    """A request that is a mapping of something else, as aiohttp's and Starlette's are."""


def mapping_request(mapping, **attributes):
    request = MappingRequest(**attributes)
    request.update(mapping)
    return request


class Headers(object):
    """A framework's mapping: not a dict, its names in any case."""

    def __init__(self, *pairs):
        self.pairs = pairs

    def get(self, name, default=None):
        return dict((key.lower(), value) for key, value in self.pairs).get(name.lower(), default)

    def items(self):
        return iter(self.pairs)


@pytest.mark.parametrize("octets, event_id", OCTETS)
@pytest.mark.parametrize("request_of", [
    environ_of,
    scope_of,
    lambda octets: {b"LAST-Event-ID": octets},
    lambda octets: Headers((b"host", b"x"), (b"last-event-id", octets)),
    lambda octets: Request(environ=environ_of(octets)),
    lambda octets: Request(META=environ_of(octets)),
    lambda octets: Request(scope=scope_of(octets)),
    lambda octets: SanicRequest(headers=Headers((b"last-event-id", octets))),
    lambda octets: MappingRequest(environ=environ_of(octets)),
], ids=["environ", "scope", "a dict of headers", "headers", "Flask, Bottle, Pyramid", "Django",
        "Starlette", "Sanic", "a mapping of something else"])
def test_last_event_id(request_of, octets, event_id):
    received = last_event_id(request_of(octets))
    assert received == event_id
    assert received is None or type(received) is six.text_type


@pytest.mark.parametrize("value, event_id", [
    ("7", "7"), ("\xe2\x80\xa6", "\u2026"), ("", None),
    # aiohttp decodes headers as UTF-8, with lone surrogates for other bytes.
    ("\u2026", "\u2026"), ("\xe9", "\xe9"), ("\udcff", None), ("\u2026\udcff", None),
])
def test_last_event_id_in_headers_of_text(value, event_id):
    assert last_event_id({"Last-Event-ID": value}) == event_id
    assert last_event_id(Request(headers=Headers(("last-event-ID", value)))) == event_id


@pytest.mark.parametrize("sent, event_id", [
    # Of several the last counts.
    ({"type": "http", "headers": [(b"Last-Event-ID", b"1"), (b"last-event-id", b"2")]}, "2"),
    ({"type": "http", "headers": iter([[b"last-event-id", b"3"], [b"accept", b"x"]])}, "3"),
    # Attributes come in this order, and before the mapping itself.
    (Request(scope=scope_of(b"1"), environ=environ_of(b"2"), META=environ_of(b"3"),
             headers={"Last-Event-ID": "4"}), "1"),
    (Request(environ=environ_of(b"2"), META=environ_of(b"3"),
             headers={"Last-Event-ID": "4"}), "2"),
    (Request(META=environ_of(b"3"), headers={"Last-Event-ID": "4"}), "3"),
    (Request(environ=5, META="x", headers={"Last-Event-ID": "4"}), "4"),
    # An event of AWS Lambda.
    ({"version": "2.0", "headers": {"last-event-id": "10"}}, "10"),
    (Raises(headers={"Last-Event-ID": "11"}), "11"),
    # What that is has an attribute, too.
    (Request(environ=mapping_request(environ_of(b"16"), headers={"Last-Event-ID": "17"})), "16"),
    # What a client sends does not change what it is taken for.
    (Headers(("Request_Method", str("GET")), ("Last-Event-ID", "12")), "12"),
    ({"REQUEST_METHOD": 5, "Last-Event-ID": "13"}, "13"),
    ({"type": "http", "headers": [(b"\xff", b"x"), (b"last-event-id", b"14")]}, "14"),
    ({"method": "HEAD", "headers": "x", "wsgi.version": "x", "Last-Event-ID": "5"}, "5"),
    ({"HTTP_LAST_EVENT_ID": "forged", "Last-Event-ID": "7"}, "7"),
    (dict(environ_of(b"8"), HTTP_HEADERS=str("x"), headers=[(b"last-event-id", b"9")]), "8"),
    # Without a REQUEST_METHOD: the dict of a test.
    ({"HTTP_LAST_EVENT_ID": str("18")}, "18"), (Request(META={"HTTP_LAST_EVENT_ID": "19"}), "19"),
    # The header counts before the query.
    (environ_of(b"20", QUERY_STRING=str("lastEventId=1")), "20"),
    (Request(environ={"HTTP_LAST_EVENT_ID": str("21"), "QUERY_STRING": "lastEventId=1"}), "21"),
    (dict(scope_of(b"22"), query_string=b"lastEventId=1"), "22"),
])
def test_the_kind_of_a_request(sent, event_id):
    assert last_event_id(sent) == event_id


@pytest.mark.parametrize("sent", [
    {}, {1: 2, None: 3}, {"headers": {"te": "x"}}, {"LAST_EVENT_ID": "7"}, Request(headers={}),
    environ_of(b"", HTTP_LAST_EVENT_ID="\u2026"), environ_of(b"", **{str("Last-Event-ID"): "7"}),
    # Nor a query, or one of values that no server hands over.
    {"REQUEST_METHOD": str("GET"), "QUERY_STRING": 5},
    {"REQUEST_METHOD": str("GET"), "QUERY_STRING": "lastEventId=\u2026"},
    {"type": "http", "headers": []}, {"type": "http", "headers": [], "query_string": 5},
    # A header of its name.
    {"lastEventId": "7"}, {"headers": {"lastEventId": "7"}}, Request(headers={"lastEventId": "7"}),
    {"type": "http", "headers": [(b"lastEventId", b"7")], "query_string": b""},
    {"REQUEST_METHOD": str("GET"), "QUERY_STRING": str(""), "HTTP_LASTEVENTID": str("7")},
])
def test_no_last_event_id(sent):
    assert last_event_id(sent) is None


@pytest.mark.parametrize("sent", [
    None, "7", b"7", 7, [], [("Last-Event-ID", "7")], object(), Request(), Request(headers=[]),
    Request(get=len),
], ids=repr)
def test_not_a_request(sent):
    with pytest.raises(TypeError) as info:
        last_event_id(sent)
    message = str(info.value)
    assert message.endswith("one of these, not " + type(sent).__name__)
    for word in ["WSGI environ", "ASGI scope", "headers", "request"]:
        assert word in message


# -- The query ----------------------------------------------------------------------------


def environ_with(query, **more):
    return dict({"REQUEST_METHOD": str("GET"), "QUERY_STRING": native(query)}, **more)


def scope_with(query):
    return {"type": "http", "method": "GET", "headers": [], "query_string": query}


QUERIES = [
    (b"lastEventId=7", "7"), (b"a=b&lastEventId=7&c=d", "7"), (b"?lastEventId=7", None),
    (b"&&lastEventId=7&&", "7"), (b"", None),
    # `&` alone separates.
    (b"a=b;lastEventId=7", None), (b"lastEventId=7;a=b", "7;a=b"), (b"lastEventId=a=b", "a=b"),
    # Of several the last that is not empty: polyfills append theirs.
    (b"lastEventId=1&lastEventId=2", "2"), (b"lastEventId=1&x&lastEventId=", "1"),
    (b"lastEventId=&lastEventId=2&lastEventId", "2"), (b"lastEventId=&lastEventId=", None),
    # Another name.
    (b"lasteventid=7", None), (b"xlastEventId=7", None), (b"lastEventIdx=7", None),
    (b"last-event-id=7", None), (b"x=lastEventId=7", None),
    # Percent-encoding, and plus.
    (b"lastEventId=a+b%20c", "a b c"), (b"lastEventId=a%2Bb%2500", "a+b%00"),
    (b"lastEventId=%26%3d%25", "&=%"), (b"lastEventId=%E2%80%A6%e2%80%a6", "\u2026\u2026"),
    (b"lastEventId=\xe2%80\xa6", "\u2026"), (b"lastEventId=%00%0A", "\0\n"),
    # What is no percent-encoding is itself.
    (b"lastEventId=100%", "100%"), (b"lastEventId=%zz%4", "%zz%4"),
    (b"lastEventId=%u2026", "%u2026"),
    # No UTF-8.
    (b"lastEventId=%ff", None), (b"lastEventId=\xff", None), (b"lastEventId=%ed%a0%80", None),
    (b"lastEventId=1&lastEventId=%ff", None), (b"\xff=%ff&lastEventId=2", "2"),
    (b"lastEventId=" + b"x" * 65536, "x" * 65536),
]
QUERY_KINDS = [
    environ_with, scope_with,
    lambda query: Request(META=environ_with(query)),
    lambda query: mapping_request({"lastEventId": "forged"}, scope=scope_with(query)),
    lambda query: {"query_string": query, "headers": []},
]


@pytest.mark.parametrize("query, event_id", QUERIES)
@pytest.mark.parametrize("request_of", QUERY_KINDS, ids=[
    "environ", "scope", "Django", "a mapping of something", "scope of two keys"])
def test_last_event_id_of_the_query(request_of, query, event_id):
    found = last_event_id(request_of(query))
    assert found == event_id
    assert found is None or type(found) is six.text_type


@pytest.mark.parametrize("attributes, event_id", [
    # aiohttp, whose `query_string` is half decoded.
    (dict(path_qs="/events?x=?&lastEventId=%252B", query_string="x=?&lastEventId=%2B",
          query={"lastEventId": "%2B"}), "%2B"),
    (dict(path_qs="/events?lastEventId=7"), "7"),
    (dict(path_qs="/lastEventId=7", query_string="lastEventId=7"), None),
    # Sanic and Falcon; Tornado.
    (dict(query_string="lastEventId=a+b"), "a b"), (dict(query_string=b"lastEventId=7"), "7"),
    (dict(path_qs=None, query_string="lastEventId=7", query="lastEventId=8"), "7"),
    (dict(query="&lastEventId=a%20b"), "a b"),
    (dict(query_string=None, query={"lastEventId": "7"}), None),
])
def test_last_event_id_of_the_query_of_a_request_that_has_headers_alone(attributes, event_id):
    assert last_event_id(Request(headers={}, **attributes)) == event_id
    assert last_event_id(Request(headers={"Last-Event-ID": "1"}, **attributes)) == "1"
    # Not where there is an environ or a scope.
    for more in (dict(scope=scope_with(b"")), dict(environ=environ_with(b"")), dict(META={})):
        assert last_event_id(Request(**dict(attributes, **more))) is None


@pytest.mark.native
@pytest.mark.parametrize("part", [
    b"&", b"lastEventId=&", b"lastEventId=7&", b"lastEventId", b"%", b"%41", b"lastEventId=%ff&"])
@pytest.mark.parametrize("request_of", QUERY_KINDS[:2], ids=["environ", "scope"])
def test_a_long_query_takes_linear_time(request_of, part):
    def seconds(size):
        sent = request_of(b"lastEventId=1" + part * (size // len(part)))
        times = []
        for _ in range(5):
            start = process_time()
            last_event_id(sent)
            times.append(process_time() - start)
        return min(times)

    # 8 times as long; quadratic would be 64.
    assert seconds(2 ** 20) < 24 * max(seconds(2 ** 17), 1e-4)


def test_an_id_of_the_query_resumes():
    channel = Channel(history=5, default_retry=None)
    channel.add_message(None, "before", event_id="a b")
    channel.add_message(None, "after", event_id="c")
    for request_of in QUERY_KINDS:
        assert channel.open(request_of(b"&lastEventId=a+b")).data_to_send() == (
            b"data: after\nid: c\n\n")
    assert channel.open(environ_with(b"lastEventId=a+b", REQUEST_METHOD=str("HEAD"))).closed


# -- The WSGI application, and HEAD, which leaves nothing open -----------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_the_wsgi_application(method):
    called = []

    def start_response(status, headers, exc_info=None):
        called.append((status, headers))

    environ = {"REQUEST_METHOD": str(method), "QUERY_STRING": str("")}
    setup_testing_defaults(environ)
    sse = Sse()
    sse.add_message("a", "1")
    response = validator(sse)(environ, start_response)
    if method == "HEAD":
        assert sse.closed and list(response) == []
    else:
        assert next(iter(response)) == b"retry: 2000\n\nevent: a\ndata: 1\n\n"
        assert not sse.closed
    assert called == [("200 OK", list(HEADERS))]
    response.close()
    assert sse.closed


@pytest.mark.parametrize("request_of", [
    lambda method: environ_of(b"", method),
    lambda method: scope_of(b"", method),
    lambda method: Request(META=environ_of(b"", method)),
    lambda method: Request(scope=scope_of(b"", method)),
    lambda method: Request(headers={}, method=method),
], ids=["environ", "scope", "Django", "Starlette", "aiohttp"])
def test_head(request_of):
    channel = Channel(history=5)
    head = channel.open(request_of("HEAD"))
    assert head.closed and bytes(head) == b""
    assert channel.streams == []
    client = channel.open(request_of("GET"))
    assert not client.closed and channel.streams == [client]


def test_a_header_named_method_is_not_a_head_request():
    assert not Channel().open({"method": "HEAD"}).closed
    assert not Channel().open(Request(headers={"method": "HEAD"}, method="GET")).closed
