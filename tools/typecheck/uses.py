"""Right and wrong uses of `sse`, for the type checkers: nothing here is run.

Each wrong use is expected by mypy (`type: ignore`) and by basedpyright (`pyright: ignore`);
an expectation that finds no error is one itself.
"""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=error
# pyright: reportUnusedCallResult=none, reportExplicitAny=none

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import (
    AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterator, KeysView,
    Mapping, MutableMapping,
)
from email.message import Message
from http.server import BaseHTTPRequestHandler
from typing import Any
from wsgiref.simple_server import make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from sse import HEADERS, Channel, Closed, Sse, __version__, last_event_id


def right(
    environ: WSGIEnvironment,
    start_response: StartResponse,
    strings: list[str],
    encoded: list[bytes],
    both: list[str | bytes],
    a_set: set[str],
    a_frozenset: frozenset[bytes],
    a_tuple: tuple[str, ...],
    perhaps: str | None,
) -> None:
    sse = Sse()
    Sse(None)
    Sse(default_retry=0, max_pending=2 ** 20)
    sse.set_retry(2000)
    for event_id in ("7", b"7", 7, "", None):
        sse.set_event_id(event_id)
    sse.reset_event_id()

    sse.add_message("greeting", "Hello,\nworld")
    sse.add_message(None, b"Hello")
    sse.add_message(b"greeting", "\u2026".encode("utf-16"), "utf-16", 7)
    sse.add_message("list", [])
    sse.add_message("list", ["a", "b"])
    for data in strings, encoded, both, a_set, a_frozenset, a_tuple, "text":
        sse.add_message("any", data, encoding="utf-8", event_id="7")
    sse.add_message("list", ["a", b"b"])
    sse.add_message("tuple", ("a", b"b"))
    sse.add_message("set", {"a", b"b"})
    sse.add_message("frozenset", frozenset(["a", b"b"]))
    sse.add_event_list(["a", b"b"])
    sse.add_message(event=perhaps, text="x", event_id=perhaps)

    sse.add_event_greeting("Hello")
    sse.add_event_2(["a", "b"], "utf-8", event_id=7)
    add: Callable[[str], None] = sse.add_event_tick
    add("x")

    sse.add_json("state", {"a": [1, None]})
    sse.add_json(None, object(), event_id=7, default=str)
    sse.add_comment()
    sse.add_comment("ping")
    sse.flush()

    text: str = str(sse) + repr(sse) + sse.__unicode__()
    taken: bytes = bytes(sse) + sse.data_to_send()
    lines: Iterator[str] = iter(sse)
    joined: str = "".join(sse) + text + next(lines)
    chunks: Iterator[bytes] = sse.stream()
    chunk: bytes = next(chunks) + taken + joined.encode()
    sse.stream(keepalive=None).close()
    sse.stream(0.5)
    sse.close()
    closed: bool = sse.closed
    copied: Sse = copy.deepcopy(sse)

    application: WSGIApplication = Sse()
    make_server("localhost", 0, copied)
    body = Sse()(environ, start_response)
    length: int = sum(len(part) for part in body) + len(chunk)
    start_response("200 OK", list(HEADERS))
    headers: dict[str, str] = dict(HEADERS)
    last_id: str | None = last_event_id(environ)
    last_event_id({"HTTP_LAST_EVENT_ID": "7"})
    try:
        sse.add_comment()
    except Closed as error:
        left: ValueError = error
        print(left)
    print(__version__.split("."), closed, application, length, headers, last_id)


class ScopeRequest:
    """As of Starlette, FastAPI, Litestar, Quart."""
    scope: MutableMapping[str, Any] = {}


class EnvironRequest:
    """As of Flask, Bottle, Pyramid."""
    environ: dict[str, Any] = {}


class MetaRequest:
    """As of Django."""
    META: dict[str, Any] = {}


class HeadersRequest:
    """As of aiohttp, Sanic, Tornado."""
    @property
    def headers(self) -> Mapping[str, str]:
        return {}


def right_requests(
    environ: WSGIEnvironment,
    scope: MutableMapping[str, Any],
    mapping: Mapping[str, str],
    encoded: dict[bytes, bytes],
    message: Message,
    handler: BaseHTTPRequestHandler,
) -> None:
    channel = Channel()
    for request in (environ, scope, mapping, encoded, message, handler, ScopeRequest(),
                    EnvironRequest(), MetaRequest(), HeadersRequest()):
        last_id: str | None = last_event_id(request)
        channel.open(request)
        channel.open(last_id)
    last_event_id(request=environ)
    channel.open(request=environ)
    channel.open(b"7")
    channel.open("")


def right_channel(environ: WSGIEnvironment, start_response: StartResponse) -> None:
    channel = Channel(history=100, default_retry=None, max_pending=None, reset_event=b"reset")
    Channel(100, 2000, 2 ** 20, "reset")
    channel.add_message("list", ["a", b"b"], event_id=7)
    channel.add_json("state", {"a": 1}, default=str)
    channel.add_comment()
    channel.add_event_tick("x", event_id="7")
    sse: Sse = channel.open()
    streams: list[Sse] = channel.streams
    newest: str | None = channel.newest_id
    channel.open(newest)
    application: WSGIApplication = channel
    body = channel(environ, start_response)
    channel.close()
    closed: bool = channel.closed
    print(sse, streams, application, body, closed)


def right_topics(
    channel: Channel,
    strings: list[str],
    both: list[str | bytes],
    a_set: set[str],
    a_frozenset: frozenset[bytes],
    a_tuple: tuple[str, ...],
) -> None:
    for topics in "a", b"a", strings, both, a_set, a_frozenset, a_tuple, ():
        channel.open(None, topics)
    channel.open(None, ["a", b"b"])
    channel.open({"HTTP_LAST_EVENT_ID": "7"}, topics=["room:42", "user:7"])
    channel.open("7", {"a"})
    channel.to()
    channel.to(*strings)
    to = channel.to("a", b"b")
    to.add_message("list", ["a", b"b"], "utf-8", None, False)
    to.add_message(None, "x", event_id=7, keep=True)
    to.add_json("state", {"a": 1}, default=str, keep=False)
    to.add_comment()
    to.add_comment("ping", keep=False)
    to.add_event_tick("x", event_id="7")
    to.add_event_tick("x", keep=False)
    channel.add_message("typing", "x", keep=False)
    channel.add_json("typing", 1, keep=False)
    channel.add_comment(keep=False)
    channel.add_event_typing("x", "utf-8", None, False)
    add: Callable[[str], None] = to.add_event_tick
    streams: list[Sse] = to.streams
    closed: bool = to.closed
    to.close()
    print(add, streams, closed)


def produce(sse: Sse) -> None:
    sse.add_message("token", "x")


async def aproduce(sse: Sse) -> None:
    sse.add_message("token", "x")
    await asyncio.sleep(1)


async def right_async(sse: Sse) -> None:
    async for chunk in sse.astream():
        length: int = len(chunk + b"")
        print(length)
    stream: AsyncIterator[bytes] = sse.astream(keepalive=None)
    body: AsyncIterable[bytes] = Channel().open().astream(0.5, aproduce)
    sse.astream(None, producer=lambda sse: asyncio.sleep(1))
    sse.astream(None, produce)
    sse.astream(None, producer=lambda sse: produce(sse))
    one: bytes = await stream.__anext__()
    another: bytes = await asyncio.wait_for(sse.astream().__anext__(), 1)
    last = sse.astream()
    last.close()
    await last.aclose()
    await last.close()
    chunks: list[bytes] = [chunk async for chunk in last]
    print(body, one, another, chunks)


def right_producer(sse: Sse) -> Iterator[bytes]:
    sse.stream(None, produce)
    sse.stream(producer=lambda sse: sse.close())
    return sse.stream(15, producer=produce)


def generator(sse: Sse) -> Generator[bytes, None, None]:
    yield sse.data_to_send()


async def agenerator(sse: Sse) -> AsyncGenerator[bytes, None]:
    yield sse.data_to_send()


def result(sse: Sse) -> bytes:
    return sse.data_to_send()


async def aresult(sse: Sse) -> bytes:
    return sse.data_to_send()


def nothing() -> None:
    pass


def wrong_producers(sse: Sse) -> None:
    sse.stream(None, 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.stream(None, aproduce)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.stream(None, generator)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.stream(None, agenerator)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.stream(None, result)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.stream(None, nothing)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.stream(None, produce(sse))  # type: ignore[func-returns-value]
    sse.astream(None, 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.astream(None, generator)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.astream(None, agenerator)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.astream(None, result)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.astream(None, aresult)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.astream(None, nothing)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.astream("15")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def wrong_async(sse: Sse) -> None:
    list(sse.astream())  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    aiter(sse.stream())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await sse.astream()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    async for chunk in sse.astream():
        sse.add_comment(ord(chunk))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    b"".join(sse.astream())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    next(sse.astream())  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


def wrong_channel(sse: Sse, channel: Channel) -> None:
    Channel("5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Channel(history=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Channel(max_pending=1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Channel(reset_event=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    channel.add_message("x", [1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    channel.add_message("x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    channel.add_comment(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    channel.add_event_x(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    channel.open(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    channel.open(sse)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    channel.open(["7"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    len(channel.newest_id)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    channel.stream(15)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    channel.closed = True  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    channel.streams = []  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    channel.newest_id = "7"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    list(channel)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    channel({}, None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    last_event_id(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    last_event_id(b"7")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    last_event_id(sse)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def wrong_topics(
    sse: Sse, channel: Channel, strings: list[str], options: list[str | None], perhaps: str | None
) -> None:
    channel.to(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    channel.to(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    channel.to(perhaps)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    channel.to(strings)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    channel.to(topics="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    channel.open(None, None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    channel.open(None, 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    channel.open(None, perhaps)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    channel.open(None, options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    channel.open(None, {"a": 1})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    channel.open(None, iter("a"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    to = channel.to("a")
    to.add_message("x", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    to.add_json("x", 1, keep=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    to.add_event_x(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    to.open()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    to.closed = True  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    to.streams = []  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    to({}, None)  # type: ignore[operator]  # pyright: ignore[reportCallIssue]
    sse.add_message("", "", keep=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    sse.add_json("x", 1, keep=False)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    sse.add_comment(keep=False)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    sse.add_event_x("x", keep=False)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def wrong_data(
    sse: Sse,
    numbers: list[int],
    options: list[str | None],
    texts: deque[str],
    mapping: dict[str, str],
    keys: KeysView[str],
    a_set: frozenset[int],
) -> None:
    sse.add_message("x", numbers)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_message("x", options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_message("x", texts)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_message("x", mapping)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_message("x", keys)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_message("x", {1, 2})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_message("x", a_set)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def wrong(sse: Sse, perhaps: str | None) -> None:
    Sse(default_retry="2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Sse(default_retry=1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Sse(max_pending="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Sse(retry=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    sse.set_retry(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.set_event_id(1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.reset_event_id("7")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

    sse.add_message("x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    sse.add_message(5, "x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_message("x", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_message("x", None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_message("x", perhaps)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_message("x", {"a": 1})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_message("x", ["a", 1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    sse.add_message("x", ("a", 1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_message("x", {1})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_message("x", [["a"]])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    sse.add_message("x", iter("a"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_message("x", "y", None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_message("x", "y", id="7")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    sse.add_message("x", "y",
                    event_id=7.0)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    sse.add_event_x()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    sse.add_event_x(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_event_x("x", "u", [])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # An unknown name counts as an add_event_NAME: it is found where it is used as no such one is.
    sse.fluhs()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    sse.retry = 5  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]

    sse.add_json("x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    sse.add_json("x", 1, default=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_comment(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_comment(["a"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    sse.stream("15")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.closed = True  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    len(sse)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    b"".join(sse)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_comment(sse.stream())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ord(sse.closed)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wrong(sse, sse.data_to_send())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse({}, None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    HEADERS[0] = ("a", "b")  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
    last_event_id("7")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    len(last_event_id({}))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
