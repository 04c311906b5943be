"""Right and wrong uses of `sse`, for the type checkers: nothing here is run.

Each wrong use is expected by mypy (`type: ignore`) and by basedpyright (`pyright: ignore`);
an expectation that finds no error is one itself.
"""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=error
# pyright: reportUnusedCallResult=none

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from wsgiref.simple_server import make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from sse import HEADERS, Sse, __version__, last_event_id


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
    came_back: str | None = last_event_id(environ)
    last_event_id({"HTTP_LAST_EVENT_ID": "7"})
    print(__version__.split("."), closed, application, length, headers, came_back)


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
    sse.add_message("x", ["a", 1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_message("x", ("a", 1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_message("x", {1})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sse.add_message("x", [["a"]])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
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
