# -*- coding: utf-8 -*-
"""Server-Sent Events (``text/event-stream``) from any Python web handler.

An `Sse` collects the blocks of one event stream and hands them over: as text, as bytes,
or as the live response of a WSGI server. A client gets exactly what was given here; no
value can become a field or an event that its caller did not write.

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

import codecs
import collections
import functools
import io
import json
import re
import threading

import six

__version__ = "2.0.0"
__all__ = [str("Sse"), str("HEADERS"), str("last_event_id"), str("__version__")]

#: The headers of a response that is an event stream: a tuple of pairs of native strings.
#: Another type makes clients give up (#sse-processing-model); `no-store` is for caches,
#: `no-transform` for what compresses, the third for nginx, which would hold events back.
#: No `Connection`: PEP 3333 forbids it, and wsgiref answers 500.
HEADERS = (
    (str("Content-Type"), str("text/event-stream")),
    (str("Cache-Control"), str("no-store, no-transform")),
    (str("X-Accel-Buffering"), str("no")),
)

# "include a comment line (one starting with a ':' character) every 15 seconds or so"
# (#authoring-notes). A blank line after it would be an event to some clients.
_COMMENT = b": \n"

# Clients count the reconnection time in signed 32 bits, and on overflow come back at once.
_MAX_RETRY = 2 ** 31 - 1

# Bytes. Servers refuse a request with a longer Last-Event-ID, and the client that was
# refused never comes back.
_MAX_ID = 1024

# Seconds. What the threads of every platform can wait.
_MAX_KEEPALIVE = 2 ** 31 // 1000

# An id comes back in a header, where these are not allowed. With U+0000 in it clients even
# ignore the field (#event-stream-interpretation).
_CONTROL = re.compile("[\x00-\x1f\x7f]")

# "any-char: a scalar value other than" LF and CR (#parsing-an-event-stream).
_LINE_END = re.compile("[\r\n]")

# \Z: a $ would let a newline pass at the end.
_ADD_EVENT = re.compile(r"add_event_(\w+)\Z")

# For the messages of errors.
_CLOSED = "closed: nothing more can be added"
_TYPES = {
    "event": "text or bytes",
    "id": "text, bytes or an int",
    "data": "text, bytes or a list of them (JSON goes through add_json)",
    "comment": "text or bytes",
}

# What `_head` made of short event names: a program has a few, and uses them again and again.
_HEADS = {}

_TEXT = six.text_type

# json.dumps would make a new one for each call.
_json_encoder = functools.partial(json.JSONEncoder, allow_nan=False, separators=(",", ":"))
_JSON = _json_encoder()

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


def _text(field, value, encoding="utf-8"):
    """`value`, text or bytes in `encoding`, as exact text."""
    if isinstance(value, bytes):
        value = bytes.__getitem__(value, slice(None))
        codec = codecs.lookup(encoding)
        if codec.name == "utf-8":
            return _decode(value)
        # A codec from bytes to bytes is not even tried: zlib's would unpack a bomb.
        value = codec.decode(value)[0] if getattr(codec, "_is_text_encoding", True) else None
        if not isinstance(value, _TEXT):
            raise LookupError("%s is not a text encoding" % codec.name)
    if isinstance(value, _TEXT):
        # The real characters of a subclass, as above its bytes, whatever methods it overrides.
        return value if type(value) is _TEXT else "".join(["", value])
    raise TypeError("%s must be %s, not %s" % (field, _TYPES[field], type(value).__name__))


def _integer(name, value):
    """`value`, an int, as an exact int."""
    for kind in six.integer_types:
        if isinstance(value, kind) and not isinstance(value, bool):
            # The type's own addition: what "%d" and int() call, a subclass may override.
            return kind.__add__(value, 0)
    raise TypeError("%s must be an int, not %s" % (name, type(value).__name__))


def _id_lines(event_id):
    """The id field, and the blank line after it, for an id that comes back as it was sent."""
    if isinstance(event_id, six.integer_types) and not isinstance(event_id, bool):
        event_id = "%d" % _integer("id", event_id)
    event_id = "" if event_id is None else _text("id", event_id)
    control = _CONTROL.search(event_id)
    if control:
        raise ValueError("id must have no control characters (U+%04X at index %d)"
                         % (ord(control.group()), control.start()))
    if event_id.strip(" ") != event_id:
        raise ValueError("id must not begin or end with a space")
    block = _block(b"id: ", b"\n", event_id, b"\n\n")
    if len(block) > _MAX_ID + len(b"id: \n\n"):
        raise ValueError("id must not be longer than %d bytes" % _MAX_ID)
    # The name alone is a field with the empty value, which resets.
    return block if event_id else b"id\n\n"


def _head(event):
    """What stands before the data: the event field, and the name of the first data field."""
    if event is None:
        return b"data: "
    event = _text("event", event)
    end = _LINE_END.search(event)
    if end:
        raise ValueError("event must be one line (U+%04X at index %d)"
                         % (ord(end.group()), end.start()))
    head = _block(b"event: ", b"\n", event, b"\ndata: ")
    if len(_HEADS) < 256 and len(event) < 64:
        _HEADS[event] = head
    return head


def _lf(text):
    """`text` with CRLF and CR as LF.

    These are the line ends (#parsing-an-event-stream), as in Python's own text files, and
    nothing else is: `splitlines` on text cuts at U+2028, U+0085 and six more, all data.
    """
    return io.IncrementalNewlineDecoder(None, translate=True).decode(text, final=True)


def _data(value, encoding):
    """What `Sse.add_message` takes for data, as one text."""
    if not isinstance(value, (list, tuple, set, frozenset)):
        return _text("data", value, encoding)
    items = [item if type(item) is _TEXT else _text("data", item, encoding) for item in value]
    if isinstance(value, (set, frozenset)):
        items.sort()
    text = "\n".join(items)
    # Item by item: a CR that ends one and an LF that begins the next are two line ends.
    return "\n".join([_lf(item) for item in items]) if "\r" in text else text


def _block(head, next_line, value, tail):
    """The bytes of one block. Nothing reaches the wire but through here.

    `head` goes before the first line of `value`, `next_line` takes the place of each LF;
    `tail` ends the block. These three are bytes.
    """
    if "\r" in value:
        value = _lf(value)
    # In bytes: there a replace is far cheaper than in text, also where nothing is found.
    return head + _encode(value).replace(b"\n", next_line) + tail


def _claim(kept):
    """Take the block that is kept there; of several takers one gets it, the others b""."""
    try:
        return kept.pop() if kept else b""
    except IndexError:
        return b""


def last_event_id(environ):
    """The last event ID with which a client came back, as text (#the-last-event-id-header).

    `environ` is the WSGI environ. None if the header is absent, empty or not UTF-8. Anybody
    may send any: look it up, do not trust it.
    """
    value = environ.get("HTTP_LAST_EVENT_ID")
    try:
        # PEP 3333: on Python 3 each character of a native string stands for one byte.
        if isinstance(value, _TEXT):
            value = value.encode("latin-1")
        return _decode(value) if value else None
    except UnicodeError:
        return None


class Sse(object):
    """A buffer of the blocks of one event stream, for one client.

    `default_retry`: the reconnection time of a first block, in milliseconds as for
    `set_retry`; None: no such block. `max_pending`: how many bytes may wait unsent, an int
    above 0 (else `TypeError`, `ValueError`); None: any number.

    Any number of threads may add while one reads. Whatever adds raises `ValueError` once
    closed, `BufferError` if more than `max_pending` would wait, `UnicodeEncodeError` for a
    lone surrogate and `UnicodeDecodeError` for bytes that do not decode (both are
    ValueErrors); a call that raises has changed nothing. Text is text or bytes of UTF-8.
    """

    # The block of the id that set_event_id keeps, or nothing. Every id has a list of its
    # own: who has looked at one never claims another that came later.
    _kept_id = ()
    _plain = True           # no id kept, no bound, no stream so far, and not closed
    _is_closed = False
    _stream_wake = None     # an Event, while there is a stream
    _max_pending = None
    _pending = 0            # the bytes in the buffer, if there is a bound, and
    _pending_lock = None    # what is held to change them; an RLock, since the thread that
    #                         holds it may be made to add by a signal or a finalizer

    def __init__(self, default_retry=2000, max_pending=None):
        # Whole blocks, as bytes. append and popleft are atomic: nothing is torn or lost.
        self._buffer = collections.deque()
        if max_pending is not None:
            self._max_pending = _integer("max_pending", max_pending)
            if self._max_pending < 1:
                raise ValueError("max_pending must be above 0")
            self._pending_lock = threading.RLock()
            self._plain = False
        if default_retry is not None:
            self.set_retry(default_retry)

    def _free(self, size):
        """Count `size` bytes less in the buffer."""
        if self._pending_lock is not None:
            with self._pending_lock:
                self._pending -= size

    def _append(self, block, message, has_id, keep):
        """Do what `_put` is for; give the block as it went into the buffer."""
        if self._is_closed:
            raise ValueError(_CLOSED)
        kept = self._kept_id
        claimed = _claim(kept) if message or keep else b""
        if claimed and message and not has_id:
            block = block[:-1] + claimed
        if self._max_pending is not None:
            size = self._pending + len(block) + sum(map(len, kept))
            if size > self._max_pending:
                if claimed:
                    kept.append(claimed)
                raise BufferError("%d bytes would wait, and max_pending is %d"
                                  % (size, self._max_pending))
            self._pending += 0 if keep else len(block)
        if keep:
            self._plain = False
            self._kept_id = [block]
        else:
            self._buffer.append(block)
        return block

    def _appended(self, block):
        """Wake the stream. If another thread has closed meanwhile, take the block back."""
        wake = self._stream_wake
        if wake is not None:
            wake.set()
        if self._is_closed:
            try:
                self._buffer.remove(block)
            except ValueError:
                return      # a reader has it: it counts as added before
            self._free(len(block))
            raise ValueError(_CLOSED)

    def _put(self, block, message=False, has_id=False, keep=False):
        """Add a block, a message with the id that is kept; or keep the block of an id."""
        if self._pending_lock is None:
            block = self._append(block, message, has_id, keep)
        else:
            with self._pending_lock:
                block = self._append(block, message, has_id, keep)
        if not keep:
            self._appended(block)

    def set_retry(self, num):
        """Add a block that sets the reconnection time: `num` milliseconds, 0 to 2147483647.

        `TypeError` if that is no int, or a bool; `ValueError` if it is out of range.
        (#event-stream-interpretation, "retry")
        """
        num = _integer("retry", num)
        if not 0 <= num <= _MAX_RETRY:
            raise ValueError("retry must be 0 to %d milliseconds" % _MAX_RETRY)
        self._put(_block(b"retry: ", b"\n", "%d" % num, b"\n\n"))

    def set_event_id(self, event_id):
        """Keep an id, text or an int, for the next message, in whose block it is written.

        None and "" reset (#the-last-event-id-header). With no message after it, it leaves as a
        block of its own when the buffer is read, and a client then claims what it may not have
        got: beside a stream, or another thread, give the id to `add_message` instead.
        `TypeError` for another type, or a bool; `ValueError` for control characters, a space at
        either end, or more than 1024 bytes.
        """
        self._put(_id_lines(event_id), keep=True)

    def reset_event_id(self):
        """`set_event_id(None)`: a client that comes back then sends no last event ID."""
        self.set_event_id(None)

    def add_message(self, event, text, encoding="utf-8", event_id=None):
        """Add an event, as one block: a client gets all of it, its id too, or nothing.

        `event` is its type, text of one line; None: no event field, to clients "message".
        `text` is its data: text, bytes in `encoding`, or a list, tuple, set or frozenset of
        these, where each item begins a new line; a set goes in sorted order. It arrives with
        CRLF and CR as LF, and else unchanged, also if it is empty. `event_id` is as for
        `set_event_id`, in place of one that is kept; None: no id.

        `TypeError` for other types; `ValueError` for a CR or LF in `event`, and for a bad id;
        `LookupError` if `encoding` is unknown, or gives no text. (#parsing-an-event-stream)
        """
        if type(text) is not _TEXT:
            text = _data(text, encoding)
        # Of a subclass never: what its __eq__ finds may be another's.
        head = _HEADS.get(event) if type(event) is _TEXT else None
        if head is None:
            head = _head(event)
        if event_id is None:
            block = _block(head, b"\ndata: ", text, b"\n\n")
        else:
            # Last: a client that is cut off half-way must not claim what it did not get.
            block = _block(head, b"\ndata: ", text, b"\n" + _id_lines(event_id))
        if self._plain:
            self._buffer.append(block)
            # Once more: a stream that began meanwhile may have looked too early.
            if not self._plain:
                self._appended(block)
        else:
            self._put(block, message=True, has_id=event_id is not None)

    def add_json(self, event, value, event_id=None, default=None):
        """Add an event whose data is `value` as compact JSON, in ASCII.

        `value` and `default` are as for `json.dumps`, the others as for `add_message`, and so
        are the errors; NaN and infinities, which browsers do not parse: `ValueError`.
        """
        encoder = _JSON if default is None else _json_encoder(default=default)
        self.add_message(event, encoder.encode(value), event_id=event_id)

    def add_comment(self, text=""):
        """Add a comment, which clients ignore: a line for each line of `text`.

        `TypeError` if that is not text. (#authoring-notes)
        """
        self._put(_block(b": ", b"\n: ", _text("comment", text), b"\n"))

    def __getattr__(self, attr):
        """`add_event_NAME(text, encoding="utf-8", event_id=None)`: an event of type NAME.

        NAME is letters, digits and underscores, on Python 2 of ASCII; else `AttributeError`.
        """
        # By the name alone: copy and pickle ask before there is any state.
        match = _ADD_EVENT.match(attr)
        if match is None:
            raise AttributeError("%r object has no attribute %r" % (type(self).__name__, attr))
        return functools.partial(self.add_message, match.group(1))

    def data_to_send(self):
        """Take all that waits, as bytes; b"" if nothing does."""
        # Looked up before the blocks: an id kept after them must not overtake a message.
        kept = self._kept_id
        buffer = self._buffer
        # One block, the usual case, needs no list and no join.
        if len(buffer) == 1 and not kept and self._pending_lock is None:
            try:
                return buffer.popleft()
            except IndexError:
                return b""  # another reader had it
        blocks = []
        try:
            for _ in range(len(buffer)):
                blocks.append(buffer.popleft())
        except IndexError:
            pass        # another reader had the last one
        if self._pending_lock is not None:
            self._free(sum(map(len, blocks)))
        if kept:
            blocks.append(_claim(kept))
        return b"".join(blocks)

    def flush(self):
        """Forget all that waits, the kept id too. A block that is being read is finished."""
        self.data_to_send()

    def __iter__(self):
        """Take what waits, as text: an item for each line, one for a retry or an id block.

        An iteration that is given up loses the block that it had begun, at most.
        """
        while True:
            kept = self._kept_id
            try:
                block = self._buffer.popleft()
                self._free(len(block))
            except IndexError:
                block = _claim(kept)
                if not block:
                    return
            # Lines of bytes, unlike those of text, end at LF alone.
            for line in [block] if block[:2] in (b"re", b"id") else io.BytesIO(block):
                yield line.decode("utf-8")

    def _chunks(self, wake, keepalive):
        """The stream; its first item is no chunk."""
        try:
            yield b""
            idle = True     # the first chunk comes at once
            while True:
                # In this order: what comes after the clear ends the wait below, and what
                # was added before close() is in the buffer when closed is seen.
                wake.clear()
                closed = self._is_closed
                chunk = b""
                # A kept id alone does not count: its message may be about to come.
                if idle or closed or self._buffer:
                    chunk = self.data_to_send()
                if chunk or idle:
                    yield chunk or _COMMENT
                    idle = False
                elif closed:
                    return
                else:
                    idle = not wake.wait(keepalive)
        finally:
            # Not close(): this may be a finalizer, which must not wait for wake's lock.
            self._plain = False
            self._is_closed = True
            del self._stream_wake

    def stream(self, keepalive=15):
        """The body of a response that stays open: an iterator of byte strings.

        Its first chunk comes at once. Then comes one for all that waits as soon as any thread
        adds something, and a comment after `keepalive` seconds of silence, a number above 0 and
        up to 2147483; None: no comments. After `close()` it ends with what waits. Its own
        close(), which a server calls when the client has left, closes the `Sse`. `TypeError` or
        `ValueError` for another `keepalive`; `RuntimeError` if there is a stream of this `Sse`
        already. (#authoring-notes)
        """
        if keepalive is not None:
            if isinstance(keepalive, bool) or not isinstance(
                    keepalive, six.integer_types + (float,)):
                raise TypeError("keepalive must be a number or None, not %s"
                                % type(keepalive).__name__)
            if not 0 < keepalive <= _MAX_KEEPALIVE:
                raise ValueError("keepalive must be above 0 and up to %d seconds"
                                 % _MAX_KEEPALIVE)
        wake = threading.Event()
        if self.__dict__.setdefault("_stream_wake", wake) is not wake:
            raise RuntimeError("this Sse has a stream already")
        self._plain = False
        chunks = self._chunks(wake, keepalive)
        # Into its try: closed before its first chunk, it closes the Sse all the same.
        next(chunks)
        return chunks

    def close(self):
        """No more will come: the stream sends what waits, and ends."""
        # Not the other way round: what sees `closed` must not find a plain one.
        self._plain = False
        self._is_closed = True
        wake = self._stream_wake
        if wake is not None:
            wake.set()

    @property
    def closed(self):
        """Whether `close()` was called, or the client of the stream has left."""
        return self._is_closed

    def __call__(self, environ, start_response):
        """The WSGI application: status 200, `HEADERS` and `stream()`, its `RuntimeError` too.

        To HEAD it answers with the headers alone, and closes the `Sse`.
        """
        if environ.get("REQUEST_METHOD") == "HEAD":
            self.close()
            chunks = []
        else:
            chunks = self.stream()
        start_response(str("200 OK"), list(HEADERS))
        return chunks

    def _waiting(self):
        """What waits, to be looked at: a list of blocks."""
        kept = self._kept_id    # before the blocks, as in data_to_send
        return list(self._buffer) + list(kept)

    def __bytes__(self):
        """All that waits, as bytes; it goes on waiting."""
        return b"".join(self._waiting())

    def __unicode__(self):
        """All that waits, as text; it goes on waiting."""
        return self.__bytes__().decode("utf-8")

    __str__ = __bytes__ if six.PY2 else __unicode__

    def __repr__(self):
        blocks = self._waiting()
        return "<%s: %d blocks, %d bytes waiting%s>" % (
            type(self).__name__, len(blocks), sum(map(len, blocks)),
            ", closed" if self._is_closed else "")

    def __getstate__(self):
        """A snapshot, for `copy` and `pickle`: all but the stream."""
        kept = list(self._kept_id)
        state = dict(self.__dict__, _kept_id=kept, _buffer=collections.deque(self._buffer))
        state.pop("_stream_wake", None)
        state.pop("_pending_lock", None)
        return state

    def __setstate__(self, state):
        self.__dict__.update(state)
        if self._max_pending is not None:
            self._pending = sum(map(len, self._buffer))
            self._pending_lock = threading.RLock()
