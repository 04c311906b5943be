# -*- coding: utf-8 -*-
"""What holds for every input and every sequence of calls, against a model (hypothesis).

The environment variable HYPOTHESIS_PROFILE chooses how many of them are tried: "default",
the same ones each time, or "long", other ones each time. `fuzz.py` goes on for a given time.
"""

from __future__ import unicode_literals

import copy
import datetime
import os
import pickle
import re
import uuid

import pytest
import six
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine, initialize, invariant, precondition, rule)

from spec_decoder import Decoder, decode, utf8_decode
from sse import Sse

# Under -bb: hypothesis compares the bytes and the texts that it has made.
pytestmark = pytest.mark.filterwarnings("ignore::BytesWarning")

# How long an example takes says more about the machine than about the code.
COMMON = dict(deadline=None, suppress_health_check=[
    HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much])
# The last hypothesis for Python 2.7 takes several times as long.
settings.register_profile("default", max_examples=30 if six.PY2 else 100,
                          stateful_step_count=50, derandomize=True, database=None, **COMMON)
settings.register_profile("long", max_examples=2000, stateful_step_count=60, **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


# The model: what the standard's client has to see, written apart from `sse`.

class Refused(Exception):
    pass


NOT_OF_TEXT = ["hex", "zlib", "bz2", "base64", "rot13", "no-such-codec"]


def lf(text):
    return re.sub("\r\n|\r", "\n", text)


def plain(value, encoding="utf-8"):
    """The text that `value` stands for."""
    if isinstance(value, bytes):
        if encoding in NOT_OF_TEXT:
            raise Refused
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


# The inputs.

SPECIAL = st.sampled_from(
    "\r\n\r\n\r\n \t:\x00\ufeff\u2028\x85\x0b\x0c\x1c\x1f\x7f\xa0dataevntiry07\u20ac\U0001f600")
CHARACTERS = SPECIAL | st.characters(blacklist_categories=("Cs",))
TEXTS = st.text(CHARACTERS) | st.lists(st.sampled_from([
    "\r", "\n", "\r\n", "data", ":", " ", "id: 7", "event", "retry: 1", "x", "\u2028", "\ufeff",
])).map("".join)
EVENTS = TEXTS.map(lambda text: re.sub("[\r\n]", "", text))
IDS = st.text(CHARACTERS, max_size=20).map(
    lambda text: re.sub("[\x00-\x1f\x7f]", "", text).strip(" "))
RETRIES = st.integers(0, 2147483647)
BOUNDS = st.sampled_from([None, None, 60, 200, 10 ** 6])

SURROGATES = st.text(CHARACTERS | st.sampled_from("\ud800\udbff\udc00\udfff"))
BINARY = st.binary() | TEXTS.map(lambda text: text.encode("utf-8")) | st.sampled_from(
    [b"\xed\xa0\x80", b"\xc0\x8a", b"\xff", b"\xef\xbb\xbf", b"\xe2\x82", b"a\r", b"\nb"])
SCALARS = st.one_of(
    SURROGATES, BINARY, st.none(), st.booleans(), st.integers(), st.integers(-2, 2), st.floats(),
    st.complex_numbers(), st.decimals(), st.fractions(), st.builds(object), st.just(Sse),
    st.just(Ellipsis), st.builds(uuid.uuid4), st.just(datetime.date(2000, 1, 1)),
    st.binary().map(bytearray), st.binary().map(memoryview), st.text().map(iter), st.just(len))
HASHABLE = st.one_of(SURROGATES, BINARY, st.integers())
OBJECTS = st.one_of(
    SCALARS, st.lists(SCALARS), st.lists(SURROGATES | BINARY), st.lists(TEXTS).map(tuple),
    st.sets(HASHABLE), st.frozensets(TEXTS), st.dictionaries(HASHABLE, SCALARS),
    st.lists(st.lists(TEXTS)))
ENCODINGS = st.sampled_from(
    ["utf-8", "UTF8", "latin-1", "ascii", "utf-16", "utf-16-le", "utf-32", "utf-7", "cp1252",
     "utf-8-sig", "shift_jis", "iso2022_jp"] + NOT_OF_TEXT)


# One call.

@given(EVENTS, TEXTS, IDS)
def test_any_text_is_one_event(event, text, event_id):
    sse = Sse(None)
    sse.add_message(event, text, event_id=event_id)
    client = decode(sse.data_to_send())
    assert client.events == [(event or "message", lf(text), event_id)]
    assert client.reconnection_time is None and client.comments == 0


@given(st.lists(TEXTS))
def test_any_lines_are_one_event(items):
    sse = Sse(None)
    sse.add_message(None, items)
    sse.add_message(None, tuple(item.encode("utf-8") for item in items))
    event = ("message", "\n".join([lf(item) for item in items]), "")
    assert decode(sse.data_to_send()).events == [event, event]


@given(TEXTS)
def test_any_comment_is_ignored(text):
    sse = Sse(None)
    sse.add_comment(text)
    sse.add_message("e", "x")
    client = decode(sse.data_to_send())
    assert client.events == [("e", "x", "")]
    assert client.comments == lf(text).count("\n") + 1
    assert client.reconnection_time is None


def arrives_or_is_refused(call, expected):
    """Either the client sees what the model says, or a documented error changed nothing."""
    sse = Sse(None)
    sse.add_message("before", "x")
    sse.set_event_id("kept")
    before = bytes(sse)
    try:
        expected = expected()
    except Refused:
        expected = None
    try:
        call(sse)
    except (TypeError, ValueError, LookupError, BufferError):
        assert expected is None
        assert bytes(sse) == before
        sse.add_message("after", "y")
        assert decode(sse.data_to_send()).events == [("before", "x", ""), ("after", "y", "kept")]
        return
    assert expected is not None
    sse.add_message("after", "y")
    client = decode(sse.data_to_send())
    assert client.events == [("before", "x", "")] + expected(client)


@given(OBJECTS, OBJECTS, st.just("utf-8") | ENCODINGS, st.none() | OBJECTS)
def test_any_object_as_a_message(event, text, encoding, event_id):
    def expected():
        message = plain_event(event), plain_data(text, encoding)
        last = "kept" if event_id is None else plain_id(event_id)
        return lambda client: [message + (last,), ("after", "y", last)]

    arrives_or_is_refused(lambda sse: sse.add_message(event, text, encoding, event_id), expected)


@given(OBJECTS, ENCODINGS)
def test_any_object_as_data(text, encoding):
    def expected():
        message = ("e", plain_data(text, encoding), "kept")
        return lambda client: [message, ("after", "y", "kept")]

    arrives_or_is_refused(lambda sse: sse.add_event_e(text, encoding), expected)


@given(OBJECTS | TEXTS)
def test_any_object_as_an_event(event):
    def expected():
        message = (plain_event(event), "null", "kept")
        return lambda client: [message, ("after", "y", "kept")]

    arrives_or_is_refused(lambda sse: sse.add_json(event, None), expected)


@given(OBJECTS | TEXTS)
def test_any_object_as_an_id(event_id):
    def expected():
        last = plain_id(event_id)
        return lambda client: [("after", "y", last)]

    arrives_or_is_refused(lambda sse: sse.set_event_id(event_id), expected)


@given(OBJECTS | RETRIES)
def test_any_object_as_a_retry(num):
    def expected():
        time = plain_retry(num)
        return lambda client: [("after", "y", "kept")] if client.reconnection_time == time else []

    arrives_or_is_refused(lambda sse: sse.set_retry(num), expected)


@given(OBJECTS | TEXTS)
def test_any_object_as_a_comment(text):
    def expected():
        comments = lf(plain(text)).count("\n") + 1
        return lambda client: [("after", "y", "kept")] if client.comments == comments else []

    arrives_or_is_refused(lambda sse: sse.add_comment(text), expected)


@given(OBJECTS)
def test_any_object_as_json(value):
    # What json makes of it is json's: here, that it is one line of ASCII, or changes nothing.
    sse = Sse(None)
    try:
        sse.add_json("e", value)
    except (TypeError, ValueError):
        assert bytes(sse) == b""
    else:
        wire = sse.data_to_send()
        assert wire.decode("ascii").count("\n") == 3
        assert len(decode(wire).events) == 1


# Several calls: the bytes are the same however they are taken.

CALLS = st.lists(st.one_of(
    st.tuples(st.just("add_message"), st.tuples(st.none() | EVENTS, TEXTS | st.lists(TEXTS))),
    st.tuples(st.just("add_message"), st.tuples(EVENTS, TEXTS, st.just("utf-8"), IDS)),
    st.tuples(st.just("set_event_id"), st.tuples(IDS)),
    st.tuples(st.just("reset_event_id"), st.just(())),
    st.tuples(st.just("add_comment"), st.tuples(TEXTS)),
    st.tuples(st.just("set_retry"), st.tuples(RETRIES)),
    st.tuples(st.just("add_json"), st.tuples(EVENTS, TEXTS)),
    st.tuples(st.just("add_event_x"), st.tuples(TEXTS)),
    st.tuples(st.just("flush"), st.just(()))))


def after(calls):
    sse = Sse()
    for name, arguments in calls:
        getattr(sse, name)(*arguments)
    return sse


def closed_stream(sse):
    sse.close()
    return b"".join(sse.stream())


@given(CALLS)
def test_bytes_are_the_same_however_taken(calls):
    wire = bytes(after(calls))
    assert after(calls).data_to_send() == wire
    assert "".join(after(calls)).encode("utf-8") == wire
    assert six.text_type(after(calls)).encode("utf-8") == wire
    assert str(after(calls)) == (wire if six.PY2 else wire.decode("utf-8"))
    assert closed_stream(after(calls)) == (wire or b": \n")
    # Item by item as it comes, and the rest in one piece.
    sse = after(calls)
    for lines in range(3):
        items = iter(sse)
        wire = wire[len("".join(item for item, _ in zip(items, range(1))).encode("utf-8")):]
        items.close()
        assert wire.endswith(bytes(sse))
        wire = bytes(sse)


# The client.

STREAMS = st.one_of(st.binary(), st.lists(st.sampled_from([
    b"\r", b"\n", b"\r\n", b"data", b"event", b"id", b"retry", b":", b" ", b"7", b"\xef\xbb\xbf",
    b"\xe2\x82\xac", b"\xe2\x82", b"\xed\xa0\x80", b"\xff", b"\x00", b"x"])).map(b"".join))


def seen(client):
    return client.events, client.last_event_id, client.reconnection_time, client.comments


@given(CALLS.map(lambda calls: bytes(after(calls))) | STREAMS,
       st.lists(st.integers(1, 9), min_size=1))
def test_pieces_change_nothing(stream, sizes):
    whole = seen(decode(stream))
    assert seen(decode(stream, 1)) == whole
    client = Decoder()
    start = number = 0
    while start < len(stream):
        size = sizes[number % len(sizes)]
        client.feed(stream[start:start + size])
        start += size
        number += 1
    assert seen(client) == whole


if not six.PY2:
    @given(STREAMS)
    def test_utf8_is_decoded_as_python_3_does(octets):
        assert utf8_decode(octets) == octets.decode("utf-8", "replace")


# Any sequence of calls.

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


class Machine(RuleBasedStateMachine):
    """The whole public surface, call by call, beside a model of lists."""

    @initialize(retry=st.none() | RETRIES, max_pending=BOUNDS)
    def first(self, retry, max_pending):
        self.begin(retry, max_pending)

    def begin(self, retry, max_pending):
        self.sse = Sse(retry, max_pending)
        self.max_pending = max_pending
        self.waiting = []
        self.kept = None            # a Block
        self.closed = False
        self.peer = Peer()          # takes by data_to_send and the like
        self.lines = None           # an iteration, with a peer of its own
        self.begun = None           # the block that it is in, and the items that are left
        self.chunks = None          # a stream
        self.first_chunk = False          # whether it has its first chunk to give
        if retry is not None:
            self.waiting.append(Block(["retry: %d\n\n" % retry], retry=retry))

    def add(self, call, make, message=False, own_id=False, keep=False):
        """Do `call`; it succeeds just if the model can `make` the block and it has its place."""
        before = bytes(self.sse)
        error = block = None
        try:
            block = make()
        except Refused:
            error = (TypeError, ValueError)
        if block is not None:
            size = sum(len(waiting.wire) for waiting in self.waiting) + len(block.wire)
            if self.kept is not None and not message and not keep:
                size += len(self.kept.wire)
            if self.closed:
                error = ValueError
            elif self.max_pending is not None and size > self.max_pending:
                error = BufferError
        if error is None:
            call()
            if keep:
                self.kept = block
            else:
                self.waiting.append(block)
                if message:
                    self.kept = None
            return
        try:
            call()
        except error:
            assert bytes(self.sse) == before
        else:
            raise AssertionError("not refused")

    def message(self, call, event, text, event_id):
        def make():
            line = None if event is None else plain(event)
            plain_event(event)
            last = self.kept.event_id if self.kept is not None else None
            if event_id is not None:
                last = plain_id(event_id)
            return Block.message(line, plain_data(text), last)

        self.add(call, make, message=True)

    @rule(event=st.none() | EVENTS | TEXTS, text=TEXTS | st.lists(TEXTS) | SURROGATES | BINARY,
          event_id=st.none() | IDS | st.integers() | SURROGATES | st.booleans())
    def add_message(self, event, text, event_id):
        self.message(lambda: self.sse.add_message(event, text, event_id=event_id),
                     event, text, event_id)

    @rule(text=TEXTS)
    def add_short_message(self, text):
        self.message(lambda: self.sse.add_event_e(text), "e", text, None)

    @rule(event=EVENTS, value=st.integers(), event_id=st.none() | IDS)
    def add_json(self, event, value, event_id):
        self.message(lambda: self.sse.add_json(event, value, event_id=event_id),
                     event, "%d" % value, event_id)

    @rule(event_id=IDS | st.none() | st.integers() | SURROGATES | st.booleans())
    def set_event_id(self, event_id):
        self.add(lambda: self.sse.set_event_id(event_id),
                 lambda: Block.id(plain_id(event_id)), keep=True)

    @rule()
    def reset_event_id(self):
        self.add(self.sse.reset_event_id, lambda: Block.id(""), keep=True)

    @rule(num=RETRIES | st.integers() | st.booleans())
    def set_retry(self, num):
        self.add(lambda: self.sse.set_retry(num), lambda: Block(
            ["retry: %d\n\n" % plain_retry(num)], retry=num))

    @rule(text=TEXTS | SURROGATES)
    def add_comment(self, text):
        self.add(lambda: self.sse.add_comment(text), lambda: Block(
            [": %s\n" % line for line in lf(plain(text)).split("\n")]))

    def take_all(self):
        blocks = self.waiting
        if self.kept is not None:
            blocks = blocks + [self.kept]
        self.waiting = []
        self.kept = None
        return blocks

    @rule()
    def data_to_send(self):
        self.peer.take(self.sse.data_to_send(), self.take_all())

    @rule()
    def iterate(self):
        self.peer.take("".join(self.sse).encode("utf-8"), self.take_all())
        assert len(self.sse._buffer) == 0

    @rule()
    def flush(self):
        self.sse.flush()
        self.take_all()
        assert len(self.sse._buffer) == 0

    @rule(count=st.integers(1, 8))
    def iterate_further(self, count):
        if self.lines is None:
            self.lines = iter(self.sse)
            self.reader = Peer()
            self.begun = None
        for _ in range(count):
            if self.begun is None:
                if self.waiting:
                    block = self.waiting.pop(0)
                elif self.kept is not None:
                    block, self.kept = self.kept, None
                else:
                    assert list(self.lines) == []
                    self.lines = None
                    return
                self.begun = (block, list(block.items))
            block, items = self.begun
            item = items.pop(0)
            assert next(self.lines) == item
            self.reader.client.feed(item.encode("utf-8"))
            if not items:
                self.begun = None
                self.reader.expect(block)
                self.reader.check()

    @precondition(lambda self: self.lines is not None)
    @rule()
    def abandon_iteration(self):
        self.lines.close()
        # With it, at most the block that it was in.
        self.lines = self.begun = None

    @precondition(lambda self: self.chunks is None)
    @rule(keepalive=st.sampled_from([15, 0.5, None]))
    def begin_stream(self, keepalive):
        self.chunks = self.sse.stream(keepalive)
        self.first_chunk = True

    @precondition(lambda self: self.chunks is not None)
    @rule()
    def begin_second_stream(self):
        try:
            self.sse.stream()
        except RuntimeError:
            return
        raise AssertionError("a second stream")

    # Else it would wait.
    @precondition(lambda self: self.chunks is not None
                  and (self.first_chunk or self.waiting or self.closed))
    @rule()
    def next_chunk(self):
        blocks = self.take_all()
        if blocks:
            self.peer.take(next(self.chunks), blocks)
        elif self.first_chunk:
            assert next(self.chunks) == b": \n"
        else:
            assert list(self.chunks) == []
            self.chunks = None
        self.first_chunk = False

    @precondition(lambda self: self.chunks is not None)
    @rule()
    def client_leaves(self):
        self.chunks.close()
        self.chunks = None
        self.closed = True

    @precondition(lambda self: self.chunks is not None or len(self.waiting) > 2)
    @rule()
    def close(self):
        self.sse.close()
        self.closed = True

    @precondition(lambda self: self.closed and self.chunks is None)
    @rule(retry=st.none() | RETRIES, max_pending=BOUNDS)
    def begin_again(self, retry, max_pending):
        self.begin(retry, max_pending)

    @precondition(lambda self: self.chunks is None and self.lines is None)
    @rule(duplicate=st.sampled_from(
        [copy.copy, copy.deepcopy, lambda sse: pickle.loads(pickle.dumps(sse, 2))]))
    def go_on_with_a_copy(self, duplicate):
        original = self.sse
        self.sse = duplicate(original)
        original.flush()
        original.close()

    @rule()
    def copy_does_not_take(self):
        other = copy.copy(self.sse)
        assert other.data_to_send() == bytes(self.sse)
        other.close()

    @invariant()
    def what_waits(self):
        if not hasattr(self, "sse"):
            return
        blocks = self.waiting + ([self.kept] if self.kept is not None else [])
        wire = b"".join([block.wire for block in blocks])
        assert bytes(self.sse) == wire
        assert six.text_type(self.sse) == wire.decode("utf-8")
        assert list(self.sse._buffer) == [block.wire for block in self.waiting]
        assert self.sse.closed is self.closed
        assert repr(self.sse) == "<Sse: %d blocks, %d bytes waiting%s>" % (
            len(blocks), len(wire), ", closed" if self.closed else "")

    def teardown(self):
        if hasattr(self, "sse"):
            self.data_to_send()


TestMachine = Machine.TestCase
# One of its examples is many calls.
TestMachine.settings = settings(
    settings.default, max_examples=settings.default.max_examples // 2)
