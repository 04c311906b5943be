# -*- coding: utf-8 -*-
"""Server-Sent Events (``text/event-stream``) from any Python web handler.

An `Sse` is one client's event stream: handed over as text, as bytes, or as the body of a
response that stays open, for threads (WSGI) or for asyncio (ASGI). A `Channel` sends to
many clients, and replays to each that reconnects what it missed. A client gets exactly
what was given here, with line ends as LF; user input cannot inject fields or events.

    >>> from sse import Sse
    >>> sse = Sse()
    >>> sse.add_message("greeting", "Hello,\\nworld")
    >>> print(sse)
    retry: 2000
    <BLANKLINE>
    event: greeting
    data: Hello,
    data: world
    <BLANKLINE>
    <BLANKLINE>

The standard is https://html.spec.whatwg.org/multipage/server-sent-events.html; a name
like #authoring-notes, here and below, is a section of it.
"""

from __future__ import unicode_literals

import binascii
import codecs
import collections
import functools
import io
import json
import logging
import os
import random
import re
import sys
import threading
import time
import weakref

import six

try:
    from contextvars import copy_context    # novm
except ImportError:     # Python 3.6 and older have no contexts
    copy_context = None

__version__ = "2.0.0"
__all__ = [str("Sse"), str("Channel"), str("Closed"), str("HEADERS"), str("last_event_id"),
           str("__version__")]

#: The headers of a response that is an event stream: a tuple of pairs of native strings.
#: Another type makes clients give up (#sse-processing-model); `no-store` is for caches,
#: `no-transform` for what compresses, the third for nginx, which would hold events back.
#: No `Connection`: PEP 3333 forbids it, and wsgiref answers 500.
HEADERS = (
    (str("Content-Type"), str("text/event-stream")),
    (str("Cache-Control"), str("no-store, no-transform")),
    (str("X-Accel-Buffering"), str("no")),
)


class Closed(ValueError):
    """Nothing more can be added: the stream or channel was closed, or its client disconnected."""


_CLOSED = "closed: nothing more can be added"

# -- Text and integers -------------------------------------------------------------------

_TEXT = six.text_type

# All that differs between the versions: the UTF-8 codec of Python 2 lets lone surrogates
# through, both ways. In valid UTF-8 nothing above 9F follows ED.
if six.PY2:
    _SURROGATE = re.compile(br"\xed[\xa0-\xbf]")

    def _encode(text):
        encoded = codecs.utf_8_encode(text)[0]
        # replace is faster than `in` here: it has memchr search, and gives back what lacks it.
        if encoded.replace(b"\xed", b"") is not encoded:
            lone = _SURROGATE.search(encoded)
            if lone:
                place = len(encoded[:lone.start()].decode("utf-8"))
                raise UnicodeEncodeError(
                    str("utf-8"), text, place, place + 1, str("surrogates not allowed"))
        return encoded

    def _decode(encoded):
        lone = _SURROGATE.search(encoded) if b"\xed" in encoded else None
        if lone:
            raise UnicodeDecodeError(
                str("utf-8"), encoded, lone.start(), lone.end(), str("surrogates not allowed"))
        return encoded.decode("utf-8")
else:
    _encode = _TEXT.encode
    _decode = bytes.decode


def _codec(encoding):
    """The codec of a text encoding. Others are not even tried: zlib's would unpack a bomb."""
    codec = codecs.lookup(encoding)
    if not getattr(codec, "_is_text_encoding", True):
        raise LookupError("%s is not a text encoding" % codec.name)
    return codec


# For the messages of errors.
_TYPES = {
    "id": "text, bytes or an int",
    "data": "text, bytes or a list of them (JSON goes through add_json)",
}


def _text(field, value, encoding="utf-8"):
    """`value`, text or bytes in `encoding`, as exact text."""
    if isinstance(value, bytes):
        value = bytes.__getitem__(value, slice(None))
        codec = _codec(encoding)
        if codec.name == "utf-8":
            return _decode(value)
        value = codec.decode(value)[0]
        if not isinstance(value, _TEXT):
            raise LookupError("%s is not a text encoding" % codec.name)
    if isinstance(value, _TEXT):
        # A subclass counts for its real characters (above: bytes), whatever it overrides.
        return value if type(value) is _TEXT else "".join(["", value])
    raise TypeError("%s must be %s, not %s"
                    % (field, _TYPES.get(field, "text or bytes"), type(value).__name__))


def _integer(name, value, least=float("-inf"), most=float("inf"), rule=None):
    """`value`, an int, as an exact int; `rule` says in words what `least` and `most` allow."""
    for kind in six.integer_types:
        if isinstance(value, kind) and not isinstance(value, bool):
            # The type's own addition: a subclass may override what "%d" and int() call.
            value = kind.__add__(value, 0)
            if not least <= value <= most:
                raise ValueError("%s must be %s" % (name, rule))
            return value
    raise TypeError("%s must be an int, not %s" % (name, type(value).__name__))


# Clients store the reconnection time as a signed 32-bit integer; on overflow they reconnect at
# once.
_MAX_RETRY = 2 ** 31 - 1


def _milliseconds(num):
    return _integer("retry", num, 0, _MAX_RETRY, "0 to %d milliseconds" % _MAX_RETRY)


def _limit(max_pending):
    return None if max_pending is None else _integer("max_pending", max_pending, 1, rule="above 0")


# Seconds: the longest timeout that Event.wait accepts on every platform.
_MAX_KEEPALIVE = 2 ** 31 // 1000


def _check_keepalive(keepalive):
    """Refuse what is neither None nor a number above 0."""
    if keepalive is not None:
        if isinstance(keepalive, bool) or not isinstance(keepalive, six.integer_types + (float,)):
            raise TypeError("keepalive must be a number or None, not %s"
                            % type(keepalive).__name__)
        if not 0 < keepalive <= _MAX_KEEPALIVE:
            raise ValueError("keepalive must be above 0 and up to %d seconds" % _MAX_KEEPALIVE)


# -- Blocks: values in, bytes out --------------------------------------------------------

# A block is what one call adds, whole. All but a comment end with a blank line, so that
# `block[:-1] + id_block` is a message with its id in the last field: a client that is cut off
# half-way must not claim an event that it did not get.


def _lf(text):
    """`text` with CRLF and CR as LF.

    These are the line ends (#parsing-an-event-stream), as in Python's own text files, and
    nothing else is: `splitlines` on text cuts at U+2028, U+0085 and six more, all data.
    """
    # 2 to 7 times as fast as two replaces.
    return io.IncrementalNewlineDecoder(None, translate=True).decode(text, final=True)


def _block(head, next_line, value, tail):
    """The bytes of one block: `head`, then `value` with `next_line` for each LF, then `tail`."""
    if "\r" in value:
        value = _lf(value)
    # Encode first: replace is far cheaper in bytes than in text. One join: two concatenations
    # would copy a large message twice, 20 times as slow.
    return b"".join((head, _encode(value).replace(b"\n", next_line), tail))


def _retry_block(num):
    """The retry field of a reconnection time in milliseconds, and its blank line."""
    return _encode("retry: %d\n\n" % _milliseconds(num))


# Bytes. Servers answer 400 or 431 to a longer Last-Event-ID, and then an EventSource never
# reconnects.
_MAX_ID = 1024

# Not allowed in the header in which a client sends the id back. With U+0000 in it clients
# even ignore the field (#event-stream-interpretation).
_CONTROL = re.compile("[\x00-\x1f\x7f]")

# The field name alone is a field with the empty value, which resets.
_RESET_ID = b"id\n\n"


def _id_block(event_id):
    """The id field, and its blank line, for an id that a client can send back as it is."""
    if isinstance(event_id, six.integer_types) and not isinstance(event_id, bool):
        event_id = "%d" % _integer("id", event_id)
    event_id = "" if event_id is None else _text("id", event_id)
    control = _CONTROL.search(event_id)
    if control:
        raise ValueError("id must have no control characters (U+%04X at index %d)"
                         % (ord(control.group()), control.start()))
    if event_id.strip(" ") != event_id:
        raise ValueError("id must not begin or end with a space")
    encoded = _encode(event_id)
    if len(encoded) > _MAX_ID:
        raise ValueError("id must not be longer than %d bytes" % _MAX_ID)
    return b"id: " + encoded + b"\n\n" if encoded else _RESET_ID


# The results of `_head` for up to 256 short event names: saves 390 ns for each message.
_HEADS = {}

# "any-char: a scalar value other than" LF and CR (#parsing-an-event-stream).
_LINE_END = re.compile("[\r\n]")


def _head(event, name="event"):
    """The start of a message: its event field, called `name` in errors, and "data: "."""
    if event is None:
        return b"data: "
    event = _text(name, event)
    end = _LINE_END.search(event)
    if end:
        raise ValueError("%s must be one line (U+%04X at index %d)"
                         % (name, ord(end.group()), end.start()))
    head = b"event: " + _encode(event) + b"\ndata: "
    if len(_HEADS) < 256 and len(event) < 64:
        _HEADS[event] = head
    return head


def _data(value, encoding):
    """Whatever `add_message` takes as data, as one text."""
    if not isinstance(value, (list, tuple, set, frozenset)):
        return _text("data", value, encoding)
    items = [item if type(item) is _TEXT else _text("data", item, encoding) for item in value]
    if isinstance(value, (set, frozenset)):
        items.sort()
    text = "\n".join(items)
    # Item by item: a CR that ends one and an LF that begins the next are two line ends.
    return "\n".join([_lf(item) for item in items]) if "\r" in text else text


# -- Requests ----------------------------------------------------------------------------

_QUERY_ID = re.compile(br"(?:^|&)lastEventId=([^&]+)")
_PERCENT = re.compile(b"%([0-9A-Fa-f]{2})")


def _header_text(value, decoded=False):
    """The value of a header, bytes or text of one character for each byte, as UTF-8; or None.

    `decoded`: it may be UTF-8 already: aiohttp's is, with lone surrogates for other bytes.
    """
    try:
        if not isinstance(value, _TEXT):
            return _decode(value) if value else None
        try:
            return _decode(value.encode("latin-1")) or None
        except UnicodeError:
            return value if decoded and _encode(value) else None
    except UnicodeError:
        return None


def _attribute(request, name):
    """An attribute, or None: whatever it raises. Sanic's `scope` raises NotImplementedError."""
    try:
        return getattr(request, name)
    except Exception:
        return None


def _query_id(query):
    """The last parameter `lastEventId` of a raw query that is not empty, as text; or None."""
    try:
        ids = _QUERY_ID.findall(query.encode("latin-1") if isinstance(query, _TEXT) else query)
        last = ids[-1].replace(b"+", b" ")
    except (UnicodeError, TypeError, IndexError):
        return None     # there is no query, or it is none, or there is no such parameter
    return _header_text(_PERCENT.sub(lambda match: binascii.unhexlify(match.group(1)), last))


def _query(request):
    """The raw query of a request object that has neither scope nor environ."""
    # aiohttp's `query_string` is half decoded.
    for name in ("path_qs", "query_string", "query"):
        value = _attribute(request, name)
        if isinstance(value, (bytes, _TEXT)):
            return value.partition("?")[2] if name == "path_qs" else value


def _read_request(request):
    """The last event ID of a request, as text, and its method; None for either if it has none."""
    kind = type(request).__name__
    method = query = None
    for name in ("scope", "environ", "META", "headers"):
        inner = _attribute(request, name)
        if _attribute(inner, "get") is not None:
            method = _attribute(request, "method")
            query = _query(request) if name == "headers" else None
            request = inner
            break
    if _attribute(request, "get") is None or _attribute(request, "items") is None:
        raise TypeError("request must be a WSGI environ, an ASGI scope, a mapping of headers or "
                        "a request object that has one of these, not %s" % kind)
    # The kind is decided by what a client cannot send: PEP 3333 makes an environ a dict. A
    # mapping of headers is not one; it may find a header named `Request_Method` under that key.
    # A header may be named `method` too, so nothing but the id is read from headers.
    last = None
    if isinstance(request, dict):
        last = _header_text(request.get("HTTP_LAST_EVENT_ID"))
        request_method = request.get("REQUEST_METHOD")
        if isinstance(request_method, str):
            return last or _query_id(request.get("QUERY_STRING")), request_method
    pairs = request.get("headers")      # of a scope; else these are the headers themselves
    if pairs is None or isinstance(pairs, (bytes, _TEXT)):
        pairs = request
    else:
        method = request.get("method")
        query = request.get("query_string")
    for name, value in pairs.items() if hasattr(pairs, "items") else pairs:
        if isinstance(name, bytes):
            name = name.decode("latin-1")
        if isinstance(name, _TEXT) and name.lower() == "last-event-id":
            last = _header_text(value, decoded=True)
    return last or _query_id(query), method


def last_event_id(request):
    """The last event ID that a client sent when it reconnected, as text.

    `request` is a WSGI environ, an ASGI scope, a mapping of headers, or a request object that
    has one of these as `scope`, `environ`, `META` or `headers`; else `TypeError`. Without the
    header, the parameter `lastEventId` of the URL's query: event-source-polyfill sends it there.
    None if it is absent, empty or not UTF-8. Anybody may send any value: look it up, do not
    trust it. (#the-last-event-id-header)
    """
    return _read_request(request)[0]


# -- The bound ---------------------------------------------------------------------------

_TOO_MANY = "%d bytes would be pending, and max_pending is %d"


def _snapshot(buffer):
    """The blocks in a buffer, a list."""
    while True:
        try:
            return list(buffer)
        except RuntimeError:
            pass    # without a GIL another thread may change it meanwhile


class _Bounded(collections.deque):
    """A buffer that raises `BufferError` rather than hold more than `limit` bytes.

    Readers take from its front as they do from any deque, without a lock: they may be finalizers.
    So a writer knows how much room there was when a writer last counted, and counts again when that
    is used up.
    """

    # Slots, and this name in place of super(), make it twice as fast.
    __slots__ = ("_limit", "_room", "_added", "_lock")
    _append = collections.deque.append

    def __init__(self, limit):
        super(_Bounded, self).__init__()
        self._limit = limit
        self._room = limit              # bytes; more, where something was read since
        self._added = 0                 # blocks since the last replay: these alone count
        self._lock = threading.Lock()   # of writers

    def append(self, block):
        size = len(block)
        with self._lock:
            if size > self._room:
                blocks = _snapshot(self)
                pending = sum(map(len, blocks[max(0, len(blocks) - self._added):]))
                self._room = self._limit - pending
                if size > self._room:
                    raise BufferError(_TOO_MANY % (pending + size, self._limit))
            self._room -= size
            self._added += 1
            self._append(block)

    def extend(self, blocks):
        """Append a replay, which does not count: a large one would end its stream at once."""
        with self._lock:
            super(_Bounded, self).extend(blocks)
            self._added = 0
            self._room = self._limit


# -- The calls that add ------------------------------------------------------------------

# json.dumps would make a new one for each call.
_json_encoder = functools.partial(json.JSONEncoder, allow_nan=False, separators=(",", ":"))
_JSON = _json_encoder()

# \Z: a $ would let a newline pass at the end.
_ADD_EVENT = re.compile(r"add_event_(\w+)\Z")


class _Adding(object):
    """The calls that add, for `Sse` and `Channel`.

    These define `_add(block, id_block=None)`. `id_block` is the end of a message with an id of its
    own, as `_id_block` makes it; b"" for a message without one, None for any other block.
    """

    __slots__ = ()

    def add_message(self, event, text, encoding="utf-8", event_id=None):
        """Add an event, as one block: a client gets all of it, its id too, or nothing.

        `event` is its type, text of one line; None: no event field, to clients "message".
        `text` is its data: text, bytes in `encoding`, or a list, tuple, set (sent sorted) or
        frozenset of these, each item on a new line. It arrives with CRLF and CR as LF, else
        unchanged, also if empty. `event_id` is as for `Sse.set_event_id`; None: no id of its own.

        `TypeError` for other types; `ValueError` for a CR or LF in `event`, and for a bad id;
        `UnicodeEncodeError` for a lone surrogate, `UnicodeDecodeError` for bytes that do not
        decode; `LookupError` if `encoding` is unknown or gives no text; `Closed` once closed;
        `BufferError` if `max_pending` leaves no room. (#parsing-an-event-stream)
        """
        if encoding != "utf-8":
            _codec(encoding)        # for text, too: no other argument may stand in its place
        if type(text) is not _TEXT:
            text = _data(text, encoding)
        # Not for a subclass: its __eq__ could find the head of another name.
        head = _HEADS.get(event) if type(event) is _TEXT else None
        if head is None:
            head = _head(event)
        id_block = b"" if event_id is None else _id_block(event_id)
        tail = b"\n" + id_block if id_block else b"\n\n"
        self._add(_block(head, b"\ndata: ", text, tail), id_block)

    def add_json(self, event, value, event_id=None, default=None):
        """Add an event whose data is `value` as compact JSON, in ASCII.

        `value` and `default` are as for `json.dumps`, the others as for `add_message`, and so
        are the errors; NaN and infinities, which browsers do not parse: `ValueError`.
        """
        encoder = _JSON if default is None else _json_encoder(default=default)
        self.add_message(event, encoder.encode(value), event_id=event_id)

    def add_comment(self, text=""):
        """Add a comment, which clients ignore: a line for each line of `text`.

        `TypeError` if that is neither text nor bytes; other errors as for `add_message`.
        (#authoring-notes)
        """
        self._add(_block(b": ", b"\n: ", _text("comment", text), b"\n"))

    def __getattr__(self, attr):
        """`add_event_NAME(text, encoding="utf-8", event_id=None)`: an event of type NAME.

        NAME is letters, digits and underscores, on Python 2 of ASCII; else `AttributeError`.
        """
        # By the name alone: copy and pickle ask before there is any state.
        match = _ADD_EVENT.match(attr)
        if match is None:
            raise AttributeError("%r object has no attribute %r" % (type(self).__name__, attr))
        return functools.partial(self.add_message, match.group(1))


# -- A producer --------------------------------------------------------------------------

# Exceptions that would end the iterator as if the answer were complete, or cancel its reader.
_DISGUISES = frozenset(["StopIteration", "StopAsyncIteration", "GeneratorExit", "CancelledError",
                        "GreenletExit"])


def _prepare(producer, run):
    """`run` with `producer` as its first argument, in a copy of the caller's context; or None."""
    if producer is None:
        return None
    if not callable(producer):
        raise TypeError("producer must be a function, not %s" % type(producer).__name__)
    run = functools.partial(run, producer)
    return functools.partial(copy_context().run, run) if copy_context else run


def _daemon(target, *args):
    thread = threading.Thread(target=target, args=args)
    thread.daemon = True
    return thread


def _refuse_result(result):
    """Raise `TypeError` if a producer did not return None."""
    if result is not None:
        if hasattr(result, "throw"):
            result.close()      # a coroutine would warn that it was never awaited
        raise TypeError("producer must return None, not %s" % type(result).__name__)


def _failure(sse, error):
    """The exception for the reader of `sse`, whose producer raised `error`; or None."""
    if sse.closed and (isinstance(error, Closed) or type(error).__name__ == "CancelledError"):
        return None
    if _DISGUISES.isdisjoint([kind.__name__ for kind in type(error).__mro__]):
        return error
    failure = RuntimeError("producer raised %s" % type(error).__name__)
    failure.__cause__ = error
    return failure


# -- One client's stream -----------------------------------------------------------------

# Bytes. A chunk of a stream ends with the block that reaches this: one string with a large
# replay for each of twenty clients would fill the memory.
_CHUNK = 64 * 1024

# "include a comment line (one starting with a ':' character) every 15 seconds or so"
# (#authoring-notes). A blank line after it would be an event to some clients.
_COMMENT = b": \n"


def _pop(items):
    """Take the only item of this list, or b"" if another thread took it."""
    try:
        return items.pop()
    except IndexError:
        return b""


class Sse(_Adding):
    """A buffer of the blocks of one event stream, for one client.

    `default_retry`: the reconnection time of a first block, in milliseconds as for
    `set_retry`; None: no such block. `max_pending`: how many bytes may be pending, an int
    above 0 (else `TypeError`, `ValueError`); None: any number.

    Any number of threads may add while one reads. Adding raises `Closed` once closed, and
    `BufferError` if more than `max_pending` bytes would be pending; a call that raises has
    changed nothing. Text is text or bytes of UTF-8.
    """

    # `_buffer` holds whole blocks, oldest first: writers append, readers take from the front.
    # Both are atomic: nothing is torn, lost or doubled.
    #
    # `_closed` becomes True once, in `_end`. `_wake` is the hook of the open stream: the stream
    # sets it before its first look, and removes it at its end. Two orders may not change:
    #
    # - A writer appends, then calls the hook (close() sets `_closed`, then calls it). The other
    #   way round the stream would wake, find nothing, and sleep with a block in the buffer.
    # - A stream clears what the hook sets, then reads `_closed`, then takes. If it took before
    #   it cleared, it would clear the call for a block that it has not seen. If it took before
    #   it read `_closed`, it would end without a block that was added just before close().
    _closed = False
    _wake = None

    # `_pending_id` holds the block of the pending id: in a new list for each id, from which a
    # message or a reader pops it. That is atomic: of several, one gets it. A reader gets hold
    # of the list before it takes blocks: an id that is set later must not overtake them.
    _pending_id = ()

    # A channel's function that removes this one from the open streams; `_end` calls it. One with a
    # store sets `_log`, too: what follows the store has to live as long as the stream.
    _leave = None

    # What wakes those who wait in `drain`. They append it, then look; a stream takes, then calls.
    _waiting = ()

    def __init__(self, default_retry=2000, max_pending=None):
        limit = _limit(max_pending)
        self._buffer = collections.deque() if limit is None else _Bounded(limit)
        if default_retry is not None:
            self.set_retry(default_retry)

    def _add(self, block, id_block=None):
        """Add a block; if it is a message, with the pending id. Every block goes through here."""
        if self._closed:
            raise Closed(_CLOSED)
        if id_block is None or not self._pending_id:
            self._buffer.append(block)
        else:
            pending = self._pending_id
            popped = _pop(pending)
            try:
                # An id of the message's own replaces the pending one.
                self._buffer.append(block if id_block or not popped else block[:-1] + popped)
            except BufferError:
                if popped:
                    pending.append(popped)
                raise
        wake = self._wake       # as in `_woken`: a call would cost 30 ns
        if wake is not None:
            wake()

    @property
    def closed(self):
        """Whether `close()` was called, or the client of the stream disconnected."""
        return self._closed

    def set_retry(self, num):
        """Add a block that sets the reconnection time: `num` milliseconds, 0 to 2147483647.

        `TypeError` if that is not an int, or a bool; `ValueError` if it is out of range.
        (#event-stream-interpretation, "retry")
        """
        self._add(_retry_block(num))

    def set_event_id(self, event_id):
        """Set the pending id, text or an int: it is written into the next message's block.

        None and "" reset (#the-last-event-id-header). With no message after it, it is sent as a
        block of its own when the buffer is read, and a client then claims events that it may
        not have: beside a stream or another thread give the id to `add_message` instead.
        `TypeError` for another type, or a bool; `ValueError` for control characters, a space at
        either end, or more than 1024 bytes; `Closed` once closed.
        """
        block = _id_block(event_id)
        if self._closed:
            raise Closed(_CLOSED)
        self._pending_id = [block]

    def reset_event_id(self):
        """`set_event_id(None)`: a client that reconnects then sends no last event ID."""
        self.set_event_id(None)

    def _take(self, limit=sys.maxsize):
        """Take all that is pending, or up to the block with which `limit` bytes are reached."""
        pending = self._pending_id
        blocks = []
        size = 0
        try:
            for _ in range(len(self._buffer)):
                blocks.append(self._buffer.popleft())
                size += len(blocks[-1])
                if size >= limit:
                    return b"".join(blocks)
        except IndexError:
            pass        # another reader took the last one
        if pending:
            blocks.append(_pop(pending))
        return b"".join(blocks)

    def data_to_send(self):
        """Take all that is pending, as bytes; b"" if nothing is."""
        # One block, the usual case, needs no list and no join: saves 400 of 800 ns.
        buffer = self._buffer
        if len(buffer) == 1 and not self._pending_id:
            try:
                return buffer.popleft()
            except IndexError:
                pass    # another reader took it
        return self._take()

    def flush(self):
        """Discard all that is pending, the pending id too.

        A block that an iteration has begun is finished.
        """
        self.data_to_send()
        self._drained()

    def __iter__(self):
        """Take all that is pending, as text: an item for each line, one for a retry or id block.

        An iteration that is abandoned loses the block that it had begun, at most.
        """
        while True:
            pending = self._pending_id
            try:
                block = self._buffer.popleft()
            except IndexError:
                block = _pop(pending) if pending else b""
                if not block:
                    return
            # Lines of bytes, unlike those of text, end at LF alone.
            for line in [block] if block[:2] in (b"re", b"id") else io.BytesIO(block):
                yield line.decode("utf-8")

    def _end(self):
        """Close it, and leave the channel. Takes no lock: this may run in a finalizer."""
        self._closed = True
        if self._leave is not None:
            self._leave()
        self._drained()

    def _woken(self):
        """Call the hook, if there is one."""
        wake = self._wake
        if wake is not None:
            wake()

    def close(self):
        """End the stream, which sends what is pending first. Nothing more can be added."""
        self._end()
        self._woken()

    def _claim(self, wake):
        """Set the hook of a stream; `RuntimeError` if there is a stream already."""
        # Atomic: of two threads that ask at once, one gets it.
        if vars(self).setdefault("_wake", wake) is not wake:
            raise RuntimeError("this Sse has a stream already")

    def _look(self, filler):
        """The next step of a stream: a chunk, or b"" to wait, or None to end.

        The stream has cleared what the hook sets. `filler` is the chunk if nothing is pending.
        """
        closed = self._closed
        chunk = b""
        # A pending id alone does not count: its message may follow.
        if filler or closed or self._buffer:
            chunk = self.data_to_send() if len(self._buffer) == 1 else self._take(_CHUNK)
            if self._waiting:
                self._drained()
        return chunk or filler or (None if closed else b"")

    def stream(self, keepalive=15, producer=None):
        """The body of a response that stays open: an iterator of byte strings, for threads.

        Its first chunk comes at once. Then comes one for all that is pending as soon as any
        thread adds something, and a comment after `keepalive` seconds of silence, a number above
        0 and up to 2147483; None: no comments. After `close()` it sends what is pending, and
        ends. Its own close(), which a server calls when the client disconnects, closes the
        `Sse`. `TypeError` or `ValueError` for another `keepalive`; `RuntimeError` if this `Sse`
        has a stream already. (#authoring-notes)

        `producer(sse)`, a function that returns None, runs in a daemon thread from the first
        chunk on, in a copy of the caller's context, and the `Sse` is closed when it returns. If
        it raises, so does the iterator, after all that was added before; `Closed` ends it quietly
        if this `Sse` is closed. `TypeError` if it cannot be called, or returns something else,
        as generator functions and coroutine functions do.
        """
        _check_keepalive(keepalive)
        produce = _prepare(producer, self._produce)
        woken = threading.Event()

        def wake():
            # Halves the cost of an add beside a stream that is awake already.
            if not woken.is_set():
                woken.set()

        self._claim(wake)
        chunks = self._chunks(woken, keepalive, produce)
        # Enter its try: if it is closed before its first chunk, it closes the Sse all the same.
        next(chunks)
        return chunks

    def _chunks(self, woken, keepalive, produce):
        """The generator of `stream`, which takes the first item itself: it is not a chunk."""
        failures = []
        try:
            yield b""
            if produce is not None and not self._closed:
                _daemon(produce, self._wake, failures).start()
            # The first chunk comes at once: servers send the headers with it.
            filler = _COMMENT
            if keepalive is None:
                filler = b""
                if not self._buffer:
                    yield b""
            while True:
                woken.clear()
                chunk = self._look(filler)
                if chunk is None:
                    break
                filler = b""
                if chunk:
                    yield chunk
                elif not woken.wait(keepalive):
                    filler = _COMMENT
        finally:
            # Not close(): this may be a finalizer, which must not wait for a lock.
            self._end()
            del self._wake
        failure = _pop(failures)
        if failure:
            six.reraise(*failure)

    def _produce(self, producer, wake, failures):
        """Run the producer of the stream whose hook is `wake`."""
        try:
            _refuse_result(producer(self))
        except BaseException as error:
            failure = _failure(self, error)
            if failure is not None:
                failures.append((type(failure), failure, sys.exc_info()[2]))
                # After the append: the stream removes its hook, then looks for failures.
                if self._wake is not wake and _pop(failures):
                    raise       # the stream has ended without it; threading prints it
        finally:
            self.close()

    def astream(self, keepalive=15, producer=None):
        """The body of a response that stays open: an asynchronous iterator, for asyncio.

        Like `stream`, with these differences. It belongs to the event loop in which it is first
        awaited (`RuntimeError` in another, without one, and for a second task that awaits while
        one does); adds may come from that loop and from any thread. The client counts as
        disconnected, and the `Sse` is closed, when a wait is cancelled, also by a `wait_for` that
        times out, when `aclose()` is called, and when the iterator is discarded.

        `producer` is an async function, which runs as a task and is cancelled when the client
        disconnects; or any other, which runs in a thread, as in `stream`. If that one returns an
        awaitable, as a lambda may that calls an async function, it runs as a task, too.
        """
        _check_keepalive(keepalive)
        waker = _Waker(self, keepalive, _prepare(producer, _start))
        self._claim(waker.wake)
        return _AsyncStream(waker)

    def _full(self, wake=None):
        """Whether `drain` has to wait, until `wake` is called."""
        if wake is not None:
            vars(self).setdefault("_waiting", []).append(wake)
        if self._closed:
            raise Closed(_CLOSED)
        if self._wake is None:
            raise RuntimeError("drain() needs an open stream")
        room = min(_CHUNK, getattr(self._buffer, "_limit", _CHUNK)) // 4
        return sum(map(len, self._pending())) > room

    def _drained(self):
        for _ in range(len(self._waiting)):     # not those who wait again
            try:
                self._waiting.pop()()
            except (IndexError, RuntimeError):
                pass        # another thread woke that one, or its loop is closed

    def drain(self):
        """Wait while the client has much to read: for a producer that is faster than its client.

        That is more than a quarter of `max_pending`, 16 KiB at the most. In an event loop
        `await` it, as asyncio's; else it blocks its thread. `Closed` once closed; `RuntimeError`
        without an open stream.
        """
        loop = getattr(sys.modules.get("asyncio"), "_get_running_loop", bool)()
        if not loop:
            while self._full():
                lock = threading.Lock()
                lock.acquire()
                if self._full(lock.release):
                    lock.acquire()
            return None
        future = loop.create_future()

        def look():
            try:
                if not future.done() and not (self._full() and self._full(wake)):
                    future.set_result(None)
            except Closed as error:
                future.set_exception(error)

        wake = functools.partial(loop.call_soon_threadsafe, look)
        look()
        return future

    def __call__(self, environ, start_response):
        """The WSGI application: status 200, `HEADERS` and `stream()`, its `RuntimeError` too.

        To HEAD it answers with the headers alone, and closes the `Sse`.
        """
        if environ.get("REQUEST_METHOD") == "HEAD":
            self.close()
            chunks = []
        else:
            chunks = self.stream()
            # eventlet.wsgi would collect 4 KiB, and not notice a client that disconnects.
            environ[str("eventlet.minimum_write_chunk_size")] = 0
        start_response(str("200 OK"), list(HEADERS))
        return chunks

    def _pending(self):
        """All that is pending, not taken: a list of blocks."""
        pending = self._pending_id      # before the blocks, as in _take
        return _snapshot(self._buffer) + list(pending)

    def __bytes__(self):
        """All that is pending, as bytes; it stays pending."""
        return b"".join(self._pending())

    def __unicode__(self):
        """All that is pending, as text; it stays pending."""
        return self.__bytes__().decode("utf-8")

    __str__ = __bytes__ if six.PY2 else __unicode__

    def __repr__(self):
        blocks = self._pending()
        return "<%s: %d blocks, %d bytes pending%s>" % (
            type(self).__name__, len(blocks), sum(map(len, blocks)),
            ", closed" if self._closed else "")


# -- The asynchronous iterator -----------------------------------------------------------

# The producers that run: a loop itself keeps its tasks only weakly.
_TASKS = set()


def _outcome(sse, call, *args):
    """What `call(*args)` returns, and what the reader of `sse` gets for what it raises."""
    try:
        return call(*args), None
    except BaseException as error:
        return None, _failure(sse, error)


def _start(producer, waker):
    """Start a producer for the reader that has this `_Waker`."""
    from inspect import iscoroutinefunction     # novm
    if iscoroutinefunction(producer):
        waker.produced(*_outcome(waker.sse, producer, waker.sse))
    else:
        _daemon(_prepare(producer, waker.call)).start()


class _Waker(object):
    """What an `_AsyncStream` and its loop call; its `wake` is the hook.

    For each chunk a task calls `begin`, looks, and calls `wait` if there is nothing: `wake`, or
    `_tick` when it is time for a comment, ends that by `_wake`. After the last chunk it calls
    `finish`; `disconnect` ends the stream before it. Both call `end` at once, `_tidy` in the loop.

    The `Sse`, the timer and the producer's task hold this and never the iterator, so the iterator
    can be discarded. `wake`, `disconnect`, `end` and `call` may be called from any thread; all
    others run in the loop's own, and it alone changes the attributes but `scheduled` and `ended`.
    """

    loop = None             # of the first wait, which sets it: calls before do nothing
    scheduled = False       # a call of `_wake` is in the queue of the loop
    future = None           # of the task that waits for a chunk
    deadline = None         # when the next comment is to be sent, in the loop's time
    timer = None            # one for the stream, set while a task waits
    task = None             # the producer's
    failure = None          # of the producer, for the reader
    ended = False           # no more chunks

    def __init__(self, sse, keepalive, start):
        from asyncio import InvalidStateError, _get_running_loop    # novm
        self.sse = sse
        self.keepalive = keepalive
        # The chunk if nothing is pending: the first comes at once, later ones when it is time.
        self.filler = b"" if keepalive is None else _COMMENT
        self.start = start                      # None without a producer
        self.running_loop = _get_running_loop
        self.done_already = InvalidStateError

    def __await__(self):
        """`aclose` gives this, to be awaited or not: there is nothing to wait for."""
        return iter(())

    def wake(self):
        """Wake the task that waits, from any thread."""
        loop = self.loop
        if loop is None:
            return
        # Not the thread's number: a loop may be run again in another thread. close() always goes
        # through the queue, which wakes the loop also out of a signal handler in its own thread.
        if self.running_loop() is loop and not self.sse._closed:
            self._wake()
        elif not self.scheduled or loop.is_closed():
            # Set only here: else one add in a signal handler would silence all later ones.
            self.scheduled = True
            try:
                loop.call_soon_threadsafe(self._wake)
            except BaseException:
                self.scheduled = False
                if not loop.is_closed():
                    raise
                self.disconnect()   # a closed loop is not the writer's concern

    def _wake(self):
        self.scheduled = False      # first: whoever adds after it calls again
        future = self.future
        if future is not None and not future.done():
            try:
                future.set_result(None)
            except self.done_already:   # by a signal handler, meanwhile
                pass

    def _tick(self):
        self.timer = None
        if self.future is None:
            return
        if self.loop.time() < self.deadline:    # there was a chunk since the timer was set
            self.timer = self.loop.call_at(self.deadline, self._tick)
        else:
            self.filler = _COMMENT
            self._wake()

    def begin(self):
        """A task begins to wait."""
        loop = self.running_loop()
        if loop is None or self.loop is not None and loop is not self.loop:
            raise RuntimeError("astream() needs a running asyncio event loop, always the same")
        if self.future is not None:
            raise RuntimeError("another task waits for this stream already")
        if self.loop is None:
            self.loop = loop
            if self.start is not None and not self.sse.closed:
                self.start(self)

    def call(self, producer):
        """In a thread: call a producer that is not an async function."""
        result, failure = _outcome(self.sse, producer, self.sse)
        try:
            self.loop.call_soon_threadsafe(self.produced, result, failure)
        except RuntimeError:        # the loop is closed
            if failure is not None:
                raise failure       # threading prints it

    def _done(self, task):
        _TASKS.discard(task)
        self.produced(*_outcome(self.sse, task.result))

    def produced(self, result, failure):
        """What the producer, or its task, has returned or raised."""
        if hasattr(result, "__await__"):
            from asyncio import ensure_future       # novm
            self.task = ensure_future(result)
            _TASKS.add(self.task)
            self.task.add_done_callback(self._done)
        else:
            if failure is None:
                _, failure = _outcome(self.sse, _refuse_result, result)
            self.failure = failure
            self.sse.close()
        if self.ended:
            self._tidy()

    def wait(self):
        """The future of the next wait: the look found nothing."""
        self.future = self.loop.create_future()
        # Look again: a signal handler that added since the first look found nobody to wake.
        if self.sse._buffer or self.sse._closed:
            self._wake()
        if self.keepalive is not None:
            self.deadline = self.loop.time() + self.keepalive
            if self.timer is None:
                self.timer = self.loop.call_at(self.deadline, self._tick)
        # The task that awaits wants to see that it is yielded by an `await`.
        self.future._asyncio_future_blocking = True
        return self.future

    def finish(self):
        """After the last chunk: raise what the producer raised."""
        failure = None
        if not self.ended:
            self.end()
            self.task = None        # not cancelled: it may have closed the Sse, and go on
            failure, self.failure = self.failure, None
        self._tidy()
        if failure is not None:
            raise failure

    def end(self):
        """No more chunks. Takes no lock: this may run in a finalizer."""
        self.ended = True
        self.sse._end()
        vars(self.sse).pop("_wake", None)

    def _tidy(self):
        """After the end, in the loop: cancel timer and producer, and wake the task that waits."""
        if self.timer is not None:
            self.timer.cancel()
        task, self.task = self.task, None       # once: a second cancel would hit its clean-up
        if task is not None:
            task.cancel()
        failure, self.failure = self.failure, None
        if failure is not None:                 # no reader is there to raise it
            self.loop.call_exception_handler(
                {"message": "producer of a stream failed after its end", "exception": failure})
        self._wake()

    def disconnect(self):
        """The client disconnected: any thread or a finalizer may report it."""
        if not self.ended:
            self.end()
            if self.loop is not None:
                try:
                    self.loop.call_soon_threadsafe(self._tidy)
                except RuntimeError:        # the loop is closed
                    _TASKS.discard(self.task)


class _Chunk(object):
    """The awaitable of the next chunk. While a task waits, only this holds the iterator."""

    __slots__ = ("_stream", "_begun")

    def __init__(self, stream):
        self._stream = stream
        self._begun = False

    def __await__(self):
        return self

    def __next__(self):
        waker = self._stream._waker
        # Resumed, its future is done; else it begins to wait.
        if not self._begun or waker.future is None or not waker.future.done():
            waker.begin()
            self._begun = True
        chunk = None if waker.ended else waker.sse._look(waker.filler)
        if chunk == b"":
            return waker.wait()
        waker.future = None
        waker.filler = b""
        if chunk:
            # Raised here, as the result of an `await`: each frame on its way costs 500 ns.
            raise StopIteration(chunk)
        waker.finish()
        raise six.moves.builtins.StopAsyncIteration

    def send(self, value):
        return self.__next__()

    def throw(self, kind, value=None, traceback=None):
        """The task was cancelled, perhaps before it began to wait."""
        self.close()
        self._stream._waker.disconnect()
        if value is None:
            value = kind() if isinstance(kind, type) else kind
        six.reraise(type(value), value, traceback)

    def close(self):
        if self._begun:
            waker = self._stream._waker
            waker.future = None
            waker.disconnect()


class _AsyncStream(object):
    """What `Sse.astream` gives. No `__iter__`: Quart and Django would take it for synchronous."""

    __slots__ = ("_waker", "__weakref__")

    def __init__(self, waker):
        self._waker = waker

    def __aiter__(self):
        return self

    def __anext__(self):
        return _Chunk(self)

    def aclose(self):
        """The client disconnected: close the `Sse`, from any thread, and wake whoever waits."""
        self._waker.disconnect()
        return self._waker

    # Django calls this one, in a thread and without a loop; Falcon awaits it.
    close = aclose

    def __del__(self):
        self._waker.disconnect()


# -- Many clients ------------------------------------------------------------------------

# Bytes.
_MAX_TOPIC = 1024

# Topics of which a channel remembers what it discarded: some 10 MB.
_MAX_DISCARDED = 100000

_thread = six.moves._thread
_get_ident = _thread.get_ident

# The number in one of a channel's own ids, written in one way alone. Not \d: it knows more digits.
_NUMBER = re.compile(r"(0|[1-9][0-9]{0,38})\Z")


def _new_epoch():
    return binascii.hexlify(os.urandom(6))


def _topic(value):
    """A topic as exact text, so that no subclass decides what it is equal to."""
    topic = _text("topic", value)
    if not 0 < len(_encode(topic)) <= _MAX_TOPIC:
        raise ValueError("topic must have 1 to %d bytes" % _MAX_TOPIC)
    return topic


def _remove(weak, topics, ref):
    """Remove a stream from its log, which it holds weakly: not to keep the history.

    Waits for no lock: this may be a finalizer.
    """
    log = weak()
    if log is not None:
        log.streams.pop(ref, None)
        for topic in topics:
            listeners = log.listeners.get(topic)
            if listeners is not None:
                listeners.pop(ref, None)
                if not listeners:
                    log.run_soon(log.prune, topic)


class _Log(object):
    """The streams and the history of a channel in one process, and the one order of all.

    `streams` holds the open streams, as the keys of a dict, with their topics: weak references,
    since a handler may fail between `open` and `stream`. `listeners` holds those of each topic in
    the same way. A stream removes itself, without the lock, when it is closed: it may be in a
    finalizer.

    All below changes under `lock`, in the jobs of `inbox`, which `work` runs one after the other:
    so all streams, and the history, have one order. `inside` has the threads that are in a call.
    Locks are taken channel first, then stream. An RLock would not do instead: an inner call would
    run in the middle of the outer one, and on Python 2 a signal handler can hang in it.

    `history` holds the number, block, id block and topics (None: for all) of each message, oldest
    first; before them one more, which is discarded already, or was never there: all that is kept
    follows it. `places` has the numbers of each id that a user gave, oldest first.

    `discarded` has for each topic the number of its message that was discarded last,
    `discarded_for_all` that of the messages for all. `floor` is the highest number of those that
    `discarded` has lost.
    """

    def __init__(self, size, retry, max_pending, reset):
        self.size = size
        # Bytes of the longest id of the channel's own.
        self.longest_id = len("id: 0123456789ab-9223372036854775807\n") if size else 0
        self.retry = retry              # milliseconds, or None
        self.max_pending = max_pending
        self.reset = reset              # the start of the block for an id that is not known
        self.closed = False
        self.streams = {}
        self.listeners = {}
        self.lock = threading.Lock()
        self.inbox = collections.deque()
        self.inside = set()
        self.pid = os.getpid()
        self.begin(_new_epoch(), 0)

    def begin(self, epoch, number):
        """Begin a history, before which is the message of this number."""
        self.own = b"id: " + epoch + b"-"       # the channel's own ids begin with it
        self.history = collections.deque([(number, b"", self.own_id(number), ())])
        self.places = {}
        self.discarded = collections.OrderedDict()
        self.discarded_for_all = self.floor = number

    def renew(self):
        """Draw an epoch, once in each process: forked workers must not make the same ids."""
        if self.pid != os.getpid():
            parents, self.own = self.own, b"id: " + _new_epoch() + b"-"
            self.pid = os.getpid()
            if len(self.history) == 1:
                self.history[0] = (0, b"", self.own_id(0), ())
            for number, _, id_block, _ in self.history:
                if id_block.startswith(parents):
                    self.places.setdefault(id_block, []).append(number)

    def own_id(self, number):
        """The id block of the channel's own id for the message of this number."""
        return self.own + _encode("%d\n\n" % number)

    def run(self, job, *args):
        """Run `job(*args)` under the lock; within a call of the same thread, leave it to that one.

        Such an inner call comes from a signal handler, a finalizer or a generator that ends.
        """
        thread = _get_ident()
        if thread in self.inside:
            self.inbox.append((job, args))
            return
        # In the try: a signal handler may raise between any two lines, and a thread that stayed
        # in the set would never send again. Before the lock: a signal handler between the two
        # would wait for ever.
        try:
            self.inside.add(thread)
            with self.lock:
                try:
                    job(*args)
                finally:
                    self.work()     # inner calls have returned: what they left is sent all the same
        finally:
            self.inside.discard(thread)
        # One may have been left since the last look.
        if self.inbox:
            self.run(self.work)

    def work(self):
        while self.inbox:
            job, args = self.inbox.popleft()
            job(*args)

    def run_soon(self, job, *args):
        """The same without waiting for the lock: whoever holds it runs the job too."""
        self.inbox.append((job, args))
        thread = _get_ident()
        while self.inbox and thread not in self.inside:
            try:
                self.inside.add(thread)
                if not self.lock.acquire(False):
                    return
                try:
                    self.work()
                finally:
                    self.lock.release()
            finally:
                self.inside.discard(thread)

    def members(self, topics):
        """The open streams that listen to one of these topics (None: all), each once."""
        if topics is None:
            refs = list(self.streams)
        else:
            refs = set()
            for topic in topics:
                refs.update(list(self.listeners.get(topic, ())))
        return [sse for sse in [ref() for ref in refs] if sse is not None]

    def add(self, block, id_block, topics, keep):
        """Check a block that an adding call made, and send it; `topics` as for `members`."""
        if self.closed:
            raise Closed(_CLOSED)
        if keep is not True and keep is not False:
            raise TypeError("keep must be True or False, not %s" % type(keep).__name__)
        if id_block and not keep:
            raise ValueError("a message with an event_id must be kept")
        kept = keep and self.size > 0 and id_block is not None
        if kept and id_block:
            if id_block == _RESET_ID:
                raise ValueError("id must not be empty in a channel with a history")
            if id_block.startswith(self.own):
                raise ValueError("id must not be one of the channel's own")
        self.check_size(block, keep and id_block == b"")
        if topics is None or topics:
            self.run(self.publish, block, id_block, topics, kept)

    def check_size(self, block, own_id):
        """Raise `BufferError` for a block that no stream has room for, with the id it may get."""
        size = len(block) + (self.longest_id if own_id else 0)
        if self.max_pending is not None and size > self.max_pending:
            raise BufferError(_TOO_MANY % (size, self.max_pending))

    def publish(self, block, id_block, topics, kept):
        streams = self.members(topics)
        try:
            if kept:
                self.renew()
                block = self.add_to_history(self.last_number() + 1, block, id_block, topics)
            while streams:
                try:
                    streams[-1]._add(block)
                except Exception:
                    streams[-1].close()     # a slow client, most often
                streams.pop()
        finally:
            # Interrupted, as by Ctrl-C: the others reconnect, and get it from the history.
            for sse in streams:
                sse.close()

    def add_to_history(self, number, block, id_block, topics):
        """Add a message; its block, with its id: one of the channel's own for b""."""
        own_id = not id_block
        if own_id:
            id_block = self.own_id(number)
            block = block[:-1] + id_block
        # A signal handler may raise between any two lines, here and in `discard`: at worst a
        # client is then told of what it did not miss.
        self.history.append((number, block, id_block, topics))
        if not own_id:
            self.places.setdefault(id_block, []).append(number)
        while len(self.history) > self.size + 1:
            self.discard()
        return block

    def discard(self):
        """Discard the oldest message, which is then the one before the history."""
        number, _, _, topics = self.history[1]
        if topics is None:
            self.discarded_for_all = number
        else:
            for topic in topics:
                try:
                    self.discarded.pop(topic, None)     # to the end
                finally:
                    self.discarded[topic] = number
            while len(self.discarded) > _MAX_DISCARDED:
                oldest = next(iter(self.discarded))
                self.floor = self.discarded[oldest]
                del self.discarded[oldest]
        id_block = self.history.popleft()[2]
        numbers = self.places.get(id_block)
        if numbers is not None:
            numbers.pop(0)
            if not numbers:
                del self.places[id_block]

    def last_number(self):
        return self.history[-1][0]

    def own_number(self, last_id):
        """The number in an id that is one of the channel's own, to the letter; else None."""
        own = self.own[len(b"id: "):].decode("ascii")
        match = last_id and last_id.startswith(own) and _NUMBER.match(last_id, len(own))
        return int(match.group()) if match else None

    def place(self, last_id):
        """The number of the message with this id, or None: nobody knows it.

        One of the channel's own ids has its place for ever, another one while it is kept.
        """
        number = self.own_number(last_id)
        if number is not None:
            return number if number <= self.last_number() else None
        try:
            return self.places.get(_id_block(last_id), [None])[0]
        except ValueError:
            return None     # nobody could have given it such an id

    def missed(self, last_id, topics):
        """The blocks that a client with this last event ID and these topics missed."""
        place = self.place(last_id)
        discarded = [self.discarded.get(topic, self.floor) for topic in topics]
        told = place is None or place < max(discarded + [self.discarded_for_all])
        if told:
            place = self.history[0][0]
        blocks = []
        # From the end: the cost does not depend on how long the history is.
        for number, block, _, to in reversed(self.history):
            if number <= place:
                break
            if to is None or not to.isdisjoint(topics):
                blocks.append(block)
        if told:
            # With the id before the history: a client cut off here is not told again.
            blocks.append(self.reset + self.history[0][2])
        blocks.reverse()
        return blocks

    def close(self, topics):
        """End the streams that listen to one of these topics; None: all, and nothing is added."""
        if topics is None:
            self.closed = True
        self.run(lambda: [sse.close() for sse in self.members(topics)])

    def open(self, sse, last_id, topics):
        """Let a stream begin with what its client missed."""
        self.run(self.join, sse, last_id, topics)

    def newest_id(self):
        self.run(self.renew)
        return self.history[-1][2][len(b"id: "):-len(b"\n\n")].decode("utf-8")

    def join(self, sse, last_id, topics):
        blocks = []
        if self.retry is not None:
            blocks.append(_retry_block(
                random.randint(self.retry, min(2 * self.retry, _MAX_RETRY))))
        if self.size:
            self.renew()
            if last_id is not None:
                blocks += self.missed(last_id, topics)
            else:
                # A client cut off before its first event resumes from the newest id. It shares
                # the block of the retry: to httpx-sse each block without data is an empty event.
                blocks = [b"".join(blocks)[:-1] + self.history[-1][2]]
        sse._buffer.extend(blocks)
        leave = functools.partial(_remove, weakref.ref(self), topics)
        ref = weakref.ref(sse, leave)
        # By this very object: on Jython two references to one object are two keys.
        sse._leave = functools.partial(leave, ref)
        self.streams[ref] = topics
        for topic in topics:
            self.listeners.setdefault(topic, {})[ref] = True
        if self.closed or sse.closed:       # or it was closed before this job ran
            sse._end()

    def prune(self, topic):
        """Remove a topic without listeners; under the lock, or one could be about to join."""
        if not self.listeners.get(topic, True):
            del self.listeners[topic]


# -- Several processes -------------------------------------------------------------------

# Seconds that a call waits for the store, and that the thread waits after an error.
_PATIENCE = 5
_PAUSE = 0.5

# What stands in the ids of a store's log: so many characters and digits.
_EPOCH = re.compile(r"[0-9A-Za-z]{1,16}\Z")
_MAX_NUMBER = 10 ** 39 - 1

# What an adding call makes, without an id. A store may give anything.
_MESSAGE_BLOCK = re.compile(br"(event: [^\r\n]*\n)?(data: [^\r\n]*\n)+\n\Z")
_COMMENT_BLOCK = re.compile(br"(: [^\r\n]*\n)+\Z")

_now = getattr(time, "monotonic", time.time)


def _warn(message, *args):
    try:
        logging.getLogger("sse").warning(message, *args)
    except (Exception, SystemExit):
        pass    # a handler's fault: the thread goes on


def _follow(weak, store, size):
    """The thread that reads a log's store, for as long as somebody holds the log."""
    while True:
        log = weak()
        if log is None or not log.follows():
            return
        place = log.read
        del log         # while it reads: on PyPy it would never be collected
        result = error = None
        try:
            result = store.read(place, size)
        except BaseException as caught:     # gevent's Timeout is one: nobody else would go on
            if type(caught).__name__ == "GreenletExit":
                raise       # whoever kills a greenlet waits until it ends
            error = caught
        log = weak()
        # After a fork a greenlet goes on in the child, even in the middle of a read.
        if log is None or not log.follows():
            return
        log.took(result, error)
        away = log.away
        del log, result, error
        if away:
            time.sleep(_PAUSE)


class _Following(_Log):
    """What a channel with a store holds in one process: adds go to the store, and come from it.

    `read` is the place up to which the store was read, its epoch and a number, or None; it changes
    in the job that sends the entries. `away` is whether the last read failed. Who waits for one of
    them waits for `changed`. `add` takes no lock of ours: a signal handler may call it.
    """

    def __init__(self, store, *settings):
        super(_Following, self).__init__(*settings)
        # Also without a history: another process may have one. Bytes of an epoch, digits.
        self.longest_id = len("id: -\n") + 16 + 39
        self.store = store
        self.read = self.thread = None
        self.away = self.ended = False
        self.changed = threading.Condition()

    def renew(self):
        """The epoch is that of the store."""

    def last_number(self):
        return self.read[1] if self.read else self.history[-1][0]

    def add(self, block, id_block, topics, keep):
        if id_block:
            raise ValueError("event_id must be None: with a store all ids are its own")
        super(_Following, self).add(block, id_block, (), keep)      # to nobody: the checks
        if topics is None or topics:
            self.store.add(block, topics and sorted(topics), keep and id_block is not None)

    def follows(self):
        """Whether this is its thread, and goes on."""
        # It is not, if start() was interrupted and another one was started.
        return (not self.ended and self.pid == os.getpid()
                and self.thread is threading.current_thread())

    def took(self, result, error):
        """Send what was read. It outlives errors."""
        try:
            if error is None:
                self.run(self.receive, *self.checked(*result))
        except BaseException as caught:
            if type(caught).__name__ == "GreenletExit":
                raise
            error = caught
        if error is not None:
            if not self.away:
                _warn("the store cannot be read: %r", error)
            error.__traceback__ = None      # its frames hold this log, if somebody keeps it
        with self.changed:
            self.away = error is not None
            self.changed.notify_all()

    def receive(self, place, base, entries):
        """Send what was read. With a `base` the log begins anew, and every stream is told."""
        if base is not None:
            self.begin(_encode(place[0]), base)
        for number, block, topics, keep in entries:
            if keep and self.size:
                block = self.add_to_history(number, block, b"", topics)
            if base is None:
                self.publish(block, b"", topics, False)
        self.read = place
        if base is not None and self.size:
            for ref in list(self.streams):
                sse, topics = ref(), self.streams.get(ref)
                if sse is not None and topics is not None:
                    try:
                        if self.max_pending and sum(map(len, sse._pending())) > self.max_pending:
                            raise BufferError       # it has not read the replay before this one
                        sse._buffer.extend(self.missed(None, topics))   # in full, as in a replay
                        sse._woken()
                    except Exception:
                        sse.close()

    def checked(self, place, base, entries):
        """What `read` gave, without entries that cannot be sent here: they must not stop the rest.

        Before the job, which must not fail in its middle: what it has sent would be sent again.
        And a handler of logs may do anything, so none must be called under the lock.
        """
        epoch, newest = place
        if not _EPOCH.match(epoch) or base is None and (not self.read or self.read[0] != epoch):
            raise ValueError("not a place after the one before: %.99r" % (place,))
        last = self.last_number() if base is None else _integer("base", base, 0, rule="0 or more")
        _integer("place", newest, last, _MAX_NUMBER, "up from the place before, or from the base")
        good = []
        for entry in entries:
            try:
                number, block, topics, keep = entry
                _integer("number", number, last + 1, newest, "after the entry before, to the place")
                self.check(block, keep)
                if topics is not None:
                    if not isinstance(topics, (list, tuple, set, frozenset)):
                        raise TypeError("topics must be None or a list")
                    topics = frozenset(map(_topic, topics))
            except Exception as error:
                _warn("no event in entry %.99r of the store: %s", entry, error)
                continue
            last = number
            good.append((number, block, topics, keep))
        return (epoch, newest), base, good

    def check(self, block, keep):
        """Raise an error unless this is what an adding call makes, without an id."""
        if not isinstance(block, bytes) or not isinstance(keep, bool):
            raise TypeError("block must be bytes, and keep a bool")
        if not (_MESSAGE_BLOCK.match(block) or not keep and _COMMENT_BLOCK.match(block)):
            raise ValueError("not a block")
        _decode(block)
        self.check_size(block, keep)

    def wait(self, number=0):
        """Wait until the store was read, up to this number: whether it was."""
        until = _now() + _PATIENCE
        with self.changed:
            if not self.ended and (self.thread is None or not self.thread.is_alive()):
                self.thread = thread = _daemon(
                    _follow, weakref.ref(self), self.store, self.size)
                try:
                    thread.start()
                except _thread.error as error:      # there are too many
                    _warn("no thread to read the store: %s", error)
                    return False
            while not self.read or self.last_number() < number:
                seconds = until - _now()
                # A call out of one of our jobs, or of the thread itself, would wait for itself.
                if (self.away or self.ended or seconds <= 0 or _get_ident() in self.inside
                        or threading.current_thread() is self.thread):
                    return False
                self.changed.wait(seconds)
        return True

    def expected(self, last_id):
        """The number in an id that another process, which was faster, has sent; else 0."""
        number = self.own_number(last_id) or 0
        try:
            return number if self.last_number() < number <= self.store.newest()[1] else 0
        except Exception:
            return number       # waited for in vain: the client asks again

    def open(self, sse, last_id, topics):
        if self.closed or self.wait() and self.wait(self.expected(last_id)):
            super(_Following, self).open(sse, last_id, topics)
        else:
            sse.close()     # its client asks again

    def join(self, sse, last_id, topics):
        super(_Following, self).join(sse, last_id, topics)
        sse._log = self     # others go on adding when nobody here holds the channel

    def newest_id(self):
        return "%s-%d" % self.store.newest()

    def close(self, topics):
        if topics is None:
            self.closed = True
        if self.members(topics):
            try:
                self.wait(self.store.newest()[1])   # what was added before is sent first
            except Exception as error:
                _warn("the store cannot be read: %r", error)
        if topics is None:
            with self.changed:
                self.ended = True
                self.changed.notify_all()
        super(_Following, self).close(topics)


class _Shared(object):
    """The `_Following` of this process.

    After a fork another one takes its place: in the old one a lock may be held, and its history
    and its streams are the parent's. The old one is kept: nothing of the store may be closed.
    """

    def __init__(self, *settings):
        self.settings = settings
        self.logs = {}

    def __getattr__(self, name):
        log = self.logs.get(os.getpid())
        if log is None:
            log = _Following(*self.settings)
            log.closed = log.ended = any([old.closed for old in list(self.logs.values())])
            log = self.logs.setdefault(os.getpid(), log)
        return getattr(log, name)


# -- The channel ------------------------------------------------------------------------


class _Sender(_Adding):
    """Sends the block of an adding call to those who listen to `topics`; None: to all."""

    def __init__(self, log, topics, keep):
        self.log = log
        self.topics = topics
        self.keep = keep

    def _add(self, block, id_block=None):
        self.log.add(block, id_block, self.topics, self.keep)


class _Audience(_Adding):
    """What `Channel.to` gives: adds to the open streams that listen to one of some topics."""

    # Names of the form __name, here and in `Channel`: a subclass cannot break them by its own.

    def __init__(self, log, topics):
        self.__sse_log = log
        self.__topics = topics      # None: all streams
        self.__sender = _Sender(log, topics, True)

    @property
    def closed(self):
        """Whether `close()` of the channel was called."""
        return self.__sse_log.closed

    def add_message(self, event, text, encoding="utf-8", event_id=None, keep=True):
        """Add an event, as `Sse.add_message` does, and raises.

        `keep=False`: it goes to those who listen now, without an id, and the history does not
        keep it. `TypeError` if `keep` is not a bool; `ValueError` for `keep=False` with an
        `event_id`. With a history each message that is kept has an id, which is the channel's own
        if none is given; an id that resets, or is like one of the channel's own, is a
        `ValueError`. `BufferError` for a block larger than `max_pending`: it would close every
        stream.
        """
        # A new one for each message would cost 90 ns.
        sender = self.__sender if keep is True else _Sender(self.__sse_log, self.__topics, keep)
        sender.add_message(event, text, encoding, event_id)

    def add_json(self, event, value, event_id=None, default=None, keep=True):
        """Add an event, as `Sse.add_json` does; `keep` as for `add_message`."""
        _Sender(self.__sse_log, self.__topics, keep).add_json(event, value, event_id, default)

    def add_comment(self, text="", keep=True):
        """Add a comment, as `Sse.add_comment` does; with or without `keep` none is kept."""
        _Sender(self.__sse_log, self.__topics, keep).add_comment(text)

    @property
    def streams(self):
        """The open streams, each once, a new list."""
        return self.__sse_log.members(self.__topics)

    def close(self):
        """End these streams, which send what is pending first. Others may be opened."""
        self.__sse_log.close(self.__topics)

    def __reduce_ex__(self, protocol):
        raise TypeError("%s cannot be copied or pickled" % type(self).__name__)

    def __repr__(self):
        return "<%s: %d streams>" % (type(self).__name__, len(self.streams))


class Channel(_Audience):
    """Sends whatever is added to every open stream, or to those of a topic, encoded once.

    `history`: how many of the last messages are kept for clients that reconnect, an int from
    0. `default_retry`: the least reconnection time, as for `Sse`; each stream gets its own, up
    to twice that, so that clients that were cut off together reconnect apart. `max_pending`:
    how many bytes may be pending in each stream, as for `Sse`; a slow client's stream, where it
    would be more, is closed. `reset_event`: the type of the event that tells a client that it
    missed what is not kept, text of one line. `TypeError` or `ValueError` for other values.
    """

    def __init__(self, history=0, default_retry=2000, max_pending=1048576, reset_event="reset",
                 store=None):
        settings = (_integer("history", history, 0, rule="0 or more"),
                    None if default_retry is None else _milliseconds(default_retry),
                    _limit(max_pending),
                    _head(_text("reset_event", reset_event), "reset_event") + b"\n")
        for name in ("add", "read", "newest"):
            if store is not None and not callable(_attribute(store, name)):
                raise TypeError("store must have add, read and newest, %s has not"
                                % type(store).__name__)
        self.__sse_log = _Log(*settings) if store is None else _Shared(store, *settings)
        super(Channel, self).__init__(self.__sse_log, None)

    def to(self, *topics):
        """Those that listen to one of these topics, text or bytes: add to them, or close them.

        Without topics nobody: what is added is checked, and discarded. `TypeError` for another
        type; `ValueError` if one is empty or has more than 1024 bytes.
        """
        return _Audience(self.__sse_log, frozenset([_topic(topic) for topic in topics]))

    def open(self, request=None, topics=()):
        """A new `Sse`, which begins with what its client missed, and gets whatever is added.

        `request` is anything that `last_event_id` takes, or the last event ID itself, as text or
        bytes; None or empty: a new client. `topics` is one, as for `to`, or a list, tuple, set or
        frozenset of them: the stream gets what is added to these and what is added for all. A
        client whose id is known gets all of this after it. One whose id is not known, or that
        missed something that is not kept, gets an event of the type `reset_event`, with empty
        data, and all that is kept. A new client gets the newest id.

        It is closed already for a HEAD request, and in a closed channel. `TypeError` as for
        `last_event_id` and `to`, `ValueError` as for `to`.
        """
        if type(topics) is not tuple or topics:
            if not isinstance(topics, (list, tuple, set, frozenset)):
                topics = [topics]
            topics = frozenset([_topic(topic) for topic in topics])
        last_id = method = None
        if isinstance(request, bytes):
            last_id = _header_text(request)
        elif isinstance(request, _TEXT):
            last_id = _text("request", request) or None
        elif request is not None:
            last_id, method = _read_request(request)
        log = self.__sse_log
        sse = Sse(None, log.max_pending)
        if method == "HEAD":
            # An asynchronous framework runs the iterator, and would keep it open.
            sse.close()
        else:
            log.open(sse, last_id, topics)
        return sse

    @property
    def newest_id(self):
        """The id of the newest message, as text: with a history never None, without one always.

        Read it before a database, and `open` from it: no message falls between the two.
        """
        return self.__sse_log.newest_id() if self.__sse_log.size else None

    def close(self):
        """End every stream, which sends what is pending first. Nothing more can be added."""
        self.__sse_log.close(None)

    def __call__(self, environ, start_response):
        """The WSGI application: `open(environ)`, answered."""
        return self.open(environ)(environ, start_response)

    def __repr__(self):
        log = self.__sse_log
        return "<%s: %d streams, %d messages in the history%s>" % (
            type(self).__name__, len(log.streams), len(log.history) - 1,
            ", closed" if log.closed else "")
