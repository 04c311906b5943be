# -*- coding: utf-8 -*-
"""What the standard's client has to see of a call, written apart from `sse`."""

from __future__ import unicode_literals

import re

import six

from spec_decoder import Decoder


class Refused(Exception):
    pass


NOT_OF_TEXT = ["hex", "zlib", "bz2", "base64", "rot13", "no-such-codec"]


def lf(text):
    return re.sub("\r\n|\r", "\n", text)


def plain(value, encoding="utf-8"):
    """The text that `value` stands for."""
    if encoding in NOT_OF_TEXT:
        raise Refused
    if isinstance(value, bytes):
        try:
            value = value.decode(encoding)
        except UnicodeError:
            raise Refused
    if not isinstance(value, six.text_type):
        raise Refused
    if six.PY2:
        # Where its UTF-8 codec sees a surrogate pair, it sees the one character.
        value = re.sub("[\ud800-\udbff][\udc00-\udfff]", lambda pair: pair.group().encode(
            "utf-16-le").decode("utf-16-le"), value)
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise Refused
    return value


def plain_data(value, encoding="utf-8"):
    if encoding in NOT_OF_TEXT:
        raise Refused
    if isinstance(value, (list, tuple)):
        return "\n".join([lf(plain(item, encoding)) for item in value])
    if isinstance(value, (set, frozenset)):
        return "\n".join(lf(item) for item in sorted(plain(item, encoding) for item in value))
    return lf(plain(value, encoding))


def plain_event(value):
    value = "" if value is None else plain(value)
    if "\n" in value or "\r" in value:
        raise Refused
    return value or "message"


def plain_id(value):
    if value is None:
        return ""
    if isinstance(value, six.integer_types) and not isinstance(value, bool):
        value = "%d" % value
    value = plain(value)
    if re.search("[\x00-\x1f\x7f]|^ | \\Z", value) or len(value.encode("utf-8")) > 1024:
        raise Refused
    return value


def plain_retry(value):
    if isinstance(value, bool) or not isinstance(value, six.integer_types):
        raise Refused
    if not 0 <= value <= 2147483647:
        raise Refused
    return value


class Block(object):
    """A block of the model: its items when it is iterated, and what the client makes of it."""

    def __init__(self, items, event=None, event_id=None, retry=None):
        self.items = items
        self.wire = "".join(items).encode("utf-8")
        self.event = event
        self.event_id = event_id
        self.retry = retry

    @classmethod
    def message(cls, event, data, event_id):
        items = [] if event is None else ["event: %s\n" % event]
        items += ["data: %s\n" % line for line in data.split("\n")]
        if event_id is not None:
            items.append("id: %s\n" % event_id if event_id else "id\n")
        return cls(items + ["\n"], (event or "message", data), event_id)

    @classmethod
    def id(cls, event_id):
        return cls(["id: %s\n\n" % event_id if event_id else "id\n\n"], event_id=event_id)


class Peer(object):
    """A client, and what the model says it has seen."""

    def __init__(self):
        self.client = Decoder()
        self.events = []
        self.last_event_id = ""
        self.retry = None

    def expect(self, block):
        if block.event_id is not None:
            self.last_event_id = block.event_id
        if block.event is not None:
            self.events.append(block.event + (self.last_event_id,))
        if block.retry is not None:
            self.retry = block.retry

    def take(self, wire, blocks):
        assert wire == b"".join([block.wire for block in blocks])
        for block in blocks:
            self.expect(block)
        self.client.feed(wire)
        self.check()

    def check(self):
        assert self.client.events == self.events
        assert self.client.last_event_id == self.last_event_id
        assert self.client.reconnection_time == self.retry
