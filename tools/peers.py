# -*- coding: utf-8 -*-
"""The encoders that are compared: `sse` itself, sse 1.2, and every peer that can be imported.

Each gives its bytes by the call, or the calls, that its users send events with: the benchmarks
measure `encode` and its kind, and features.py tells what becomes of `fields`.
"""

from __future__ import unicode_literals

import importlib
import json
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Last: an installed sse, or one of PYTHONPATH, comes before the one of the checkout.
sys.path.append(ROOT)
sys.path.insert(0, os.path.join(ROOT, "tests"))

import sse  # noqa: E402

OLD = "sse 1.2"


class Peer(object):
    """An encoder; what it has no call for is done as its users would do it."""

    version = ""
    heading = None      # in the table of features.py, for those that have `fields`

    def __init__(self):
        """Import the package, and look up what is called."""

    def inside(self, function):
        """Call `function` where `encode` can be called."""
        return function()

    def fields(self, data, event=None, id=None, retry=None):
        """One event with all of these; None if there is no call for them."""
        raise NotImplementedError

    def encode(self, event, text):
        return self.fields(text, event)

    def encode_list(self, event, lines):
        return self.encode(event, "\n".join(lines))

    def encode_json(self, event, value):
        return self.encode(event, json.dumps(value))

    def encode_many(self, event, text, count):
        return b"".join([self.encode(event, text) for _ in range(count)])


class Ours(Peer):
    name = heading = "sse"
    version = sse.__version__

    def __init__(self):
        self.sse = sse.Sse(default_retry=None)

    def fields(self, data, event=None, id=None, retry=None):
        if retry is not None:
            self.sse.set_retry(retry)
        self.sse.add_message(event, data, event_id=id)
        return self.sse.data_to_send()

    def encode(self, event, text):
        self.sse.add_message(event, text)
        return self.sse.data_to_send()

    encode_list = encode

    def encode_json(self, event, value):
        self.sse.add_json(event, value)
        return self.sse.data_to_send()

    def encode_many(self, event, text, count):
        for _ in range(count):
            self.sse.add_message(event, text)
        return self.sse.data_to_send()


class Old(Peer):
    """By iteration, as 1.x was sent."""

    name = OLD

    def __init__(self, folder):
        if not folder:
            raise ImportError("its folder is named by --old or SSE_1_2")
        self.module = load_old(folder)
        self.sse = self.module.Sse()
        self.sse.flush()    # its constructor adds a retry block

    def encode(self, event, text):
        self.sse.add_message(event, text)
        return "".join(self.sse).encode("utf-8")

    encode_list = encode

    def encode_many(self, event, text, count):
        for _ in range(count):
            self.sse.add_message(event, text)
        return "".join(self.sse).encode("utf-8")


class OldText(Old):
    """By its text and a flush, which is faster."""

    name = OLD + " text"

    def encode(self, event, text):
        self.sse.add_message(event, text)
        encoded = self.sse.__unicode__().encode("utf-8")
        self.sse.flush()
        return encoded

    encode_list = encode

    def encode_many(self, event, text, count):
        for _ in range(count):
            self.sse.add_message(event, text)
        encoded = self.sse.__unicode__().encode("utf-8")
        self.sse.flush()
        return encoded


class SseStarlette(Peer):
    name = heading = "sse-starlette"

    def __init__(self):
        from sse_starlette.event import JSONServerSentEvent, ServerSentEvent
        self.event = ServerSentEvent
        self.json_event = JSONServerSentEvent

    def fields(self, data, **fields):
        return self.event(data, **fields).encode()

    def encode(self, event, text):
        return self.event(text, event=event).encode()

    def encode_json(self, event, value):
        return self.json_event(value, event=event).encode()


class FastapiModel(Peer):
    name = "fastapi model"
    heading = "FastAPI"
    distribution = "fastapi"

    def __init__(self):
        from fastapi.encoders import jsonable_encoder
        from fastapi.sse import ServerSentEvent, format_sse_event
        self.event = ServerSentEvent
        self.format = format_sse_event
        self.jsonable = jsonable_encoder

    # A route does this with what it yields; that code cannot be called without a request.
    def send(self, item, data):
        return self.format(data_str=data, event=item.event, id=item.id, retry=item.retry,
                           comment=item.comment)

    def fields(self, data, **fields):
        item = self.event(raw_data=data, **fields)
        return self.send(item, item.raw_data)

    def encode(self, event, text):
        item = self.event(raw_data=text, event=event)
        return self.send(item, item.raw_data)

    def encode_json(self, event, value):
        item = self.event(data=value, event=event)
        return self.send(item, json.dumps(self.jsonable(item.data)))


class FastapiHelper(Peer):
    name = "fastapi helper"
    distribution = "fastapi"

    def __init__(self):
        from fastapi.sse import format_sse_event
        self.format = format_sse_event

    def encode(self, event, text):
        return self.format(data_str=text, event=event)


class FlaskSse(Peer):
    name = heading = "flask-sse"

    def __init__(self):
        from flask_sse import Message
        self.message = Message

    def fields(self, data, event=None, **fields):
        return str(self.message(data, type=event, **fields)).encode("utf-8")


class Larzsse(Peer):
    name = heading = "larzsse"

    def __init__(self):
        from larzsse import format_event
        self.format = format_event

    def fields(self, data, **fields):
        return self.format(data, **fields).encode("utf-8")

    def encode(self, event, text):
        return self.format(text, event).encode("utf-8")


class Assel(Peer):
    name = "assel"

    def __init__(self):
        from assel import Event, send
        self.event = Event
        self.send = send

    def encode(self, event, text):
        return self.send(self.event(text, event))


class DjangoEventstream(Peer):
    name = heading = "django-eventstream"

    def __init__(self):
        from django.conf import settings
        if not settings.configured:
            settings.configure()
        from django_eventstream.utils import sse_encode_event
        self.format = sse_encode_event

    def fields(self, data, event="message", id=None, retry=None):
        if retry is None:
            return self.format(event, data, event_id=id).encode("utf-8")

    def encode(self, event, text):
        return self.format(event, text).encode("utf-8")

    def encode_json(self, event, value):
        return self.format(event, value, json_encode=True).encode("utf-8")


class AiohttpSse(Peer):
    """Its `send`, with a `write` that keeps the bytes in place of the one to a socket."""

    name = heading = "aiohttp-sse"

    def __init__(self):
        import asyncio
        import types
        from aiohttp_sse import EventSourceResponse

        class Response(EventSourceResponse):
            # Not `async def`, which Python 2 cannot read.
            @types.coroutine
            def write(self, data):
                self.sent = data
                return
                yield

        @types.coroutine
        def task(function, results):
            results.append(function())
            return
            yield

        self.loop = asyncio.new_event_loop()
        self.task = task
        self.response = Response()

    def inside(self, function):
        results = []
        self.loop.run_until_complete(self.task(function, results))
        return results[0]

    def fields(self, data, **fields):
        try:
            self.response.send(data, **fields).send(None)
        except StopIteration:
            return bytes(self.response.sent)

    def encode(self, event, text):
        try:
            self.response.send(text, event=event).send(None)
        except StopIteration:
            return self.response.sent


class Litestar(Peer):
    name = "litestar"

    def __init__(self):
        from litestar.response.sse import ServerSentEventMessage
        self.event = ServerSentEventMessage

    def encode(self, event, text):
        return self.event(text, event).encode()


class Limit(Peer):
    """No framing and no check: what no encoder can be faster than. Not a peer."""

    name = "limit"

    def encode(self, event, text):
        return ("event: e\ndata: " + text + "\n\n").encode("utf-8")


def load_old(folder):
    """The module of sse 1.2, which has the same name as ours."""
    folder = os.path.abspath(folder)
    ours = sys.modules.pop("sse")
    sys.path.insert(0, folder)
    try:
        old = importlib.import_module("sse")
    finally:
        sys.path.remove(folder)
        sys.modules["sse"] = ours
    if hasattr(old, "__version__") or os.path.dirname(os.path.abspath(old.__file__)) != folder:
        raise ImportError("there is no sse 1.2 in %s" % folder)
    return old


def _version(peer):
    try:
        from importlib.metadata import version
    except ImportError:
        return ""
    return version(getattr(peer, "distribution", peer.name))


KINDS = [Old, OldText, SseStarlette, FastapiModel, FastapiHelper, AiohttpSse, DjangoEventstream,
         FlaskSse, Larzsse, Assel, Litestar]


def load(old, kinds=KINDS):
    """All that can be imported, ours first and the limit last; and why each other one cannot."""
    found, missing = [Ours()], []
    for kind in kinds:
        try:
            if issubclass(kind, Old):
                peer = kind(old)
            else:
                peer = kind()
                peer.version = _version(peer)
            found.append(peer)
        except (ImportError, SyntaxError) as error:
            missing.append((kind.name, str(error)))
    return found + [Limit()], missing
