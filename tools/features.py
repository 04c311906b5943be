# -*- coding: utf-8 -*-
"""What each encoder makes of difficult input, decoded as a client does: the README's table.

`python benchmarks/features.py` prints it; with `--check README.rst` it fails unless the
table stands there.
"""

from __future__ import unicode_literals

import argparse
import asyncio
import io
import sys

import peers  # also puts tests/ on the path

from sse import Sse
from spec_decoder import decode


def ours(data, event=None, id=None, retry=None):
    sse = Sse(default_retry=None)
    if retry is not None:
        sse.set_retry(retry)
    sse.add_message(event, data, event_id=id)
    return sse.data_to_send()


def sse_starlette():
    from sse_starlette import ServerSentEvent
    return lambda data, **fields: ServerSentEvent(data, **fields).encode()


def fastapi():
    from fastapi.sse import ServerSentEvent, format_sse_event

    def encode(data, **fields):
        item = ServerSentEvent(raw_data=data, **fields)
        return format_sse_event(
            data_str=item.raw_data, event=item.event, id=item.id, retry=item.retry)
    return encode


def aiohttp_sse():
    from aiohttp_sse import EventSourceResponse

    class Response(EventSourceResponse):
        async def write(self, data):
            self.sent = bytes(data)

    def encode(data, **fields):
        async def send():
            response = Response()
            await response.send(data, **fields)
            return response.sent
        return asyncio.run(send())
    return encode


def django_eventstream():
    peers.DjangoEventstream()
    from django_eventstream.utils import sse_encode_event

    def encode(data, event="message", id=None, retry=None):
        if retry is not None:
            return None
        return sse_encode_event(event, data, event_id=id).encode("utf-8")
    return encode


def flask_sse():
    from flask_sse import Message

    def encode(data, event=None, **fields):
        return str(Message(data, type=event, **fields)).encode("utf-8")
    return encode


def larzsse():
    from larzsse import format_event
    return lambda data, **fields: format_event(data, **fields).encode("utf-8")


ENCODERS = [("sse", lambda: ours), ("sse-starlette", sse_starlette), ("FastAPI", fastapi),
            ("aiohttp-sse", aiohttp_sse), ("django-eventstream", django_eventstream),
            ("flask-sse", flask_sse), ("larzsse", larzsse)]

REFUSED = object()

# What is tried, the call's arguments, and what a client must get: type, data and id, or
# nothing, because the call is refused.
ROWS = [
    ("CR, CRLF and LF in data", dict(data="a\rb\r\nc\nd"), ("message", "a\nb\nc\nd", "")),
    ("U+2028, U+0085, VT in data", dict(data="a\u2028b\x85c\x0bd"),
     ("message", "a\u2028b\x85c\x0bd", "")),
    ("empty data", dict(data=""), ("message", "", "")),
    ("a newline at the end", dict(data="a\n"), ("message", "a\n", "")),
    ("a space at the start", dict(data=" a"), ("message", " a", "")),
    ("id 0", dict(data="x", id=0), ("message", "x", "0")),
    ("newline in the event name", dict(data="x", event="a\ndata: evil"), REFUSED),
    ("newline in the id", dict(data="x", id="1\ndata: evil"), REFUSED),
    ("U+0000 in the id", dict(data="x", id="a\x00b"), REFUSED),
    ("retry -1", dict(data="x", retry=-1), REFUSED),
    ("retry True", dict(data="x", retry=True), REFUSED),
    ("bytes as data", dict(data=b"a"), ("message", "a", "")),
]


def outcome(encode, arguments, expected):
    try:
        sent = encode(**arguments)
    except Exception:   # whatever class the peer has for it
        return "refused"
    if sent is None:
        return "--"
    events = decode(sent).events
    if events == [expected]:
        return "right"
    if not events:
        return "lost"
    if "evil" in events[0].data:
        return "**forged**"
    if expected is REFUSED and arguments.get("event", arguments.get("id")) is None:
        return "sent"
    return "sent" if b"\x00" in sent else "changed"


def table():
    encoders = [(name, load()) for name, load in ENCODERS]
    rows = [[""] + [name for name, _ in encoders]]
    for label, arguments, expected in ROWS:
        rows.append([label] + [outcome(encode, arguments, expected) for _, encode in encoders])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    ruler = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
             for row in rows]
    lines[1:] = [line if line[0] != " " else "\\" + line[1:] for line in lines[1:]]
    return "\n".join([ruler, lines[0], ruler] + lines[1:] + [ruler]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", metavar="FILE", help="fail unless the table stands in it")
    arguments = parser.parse_args()
    text = table()
    print(text)
    if arguments.check:
        with io.open(arguments.check, encoding="utf-8") as file:
            if text not in file.read():
                sys.exit("%s has another table" % arguments.check)


if __name__ == "__main__":
    main()
