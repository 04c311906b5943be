# -*- coding: utf-8 -*-
"""What a client makes of an event stream: the standard's algorithm, step by step.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
Written from the standard, and apart from `sse`, which it has to judge.
"""

from __future__ import unicode_literals

import collections
import re

Event = collections.namedtuple(str("Event"), "type data last_event_id")

# CRLF, LF and CR are octets that no other UTF-8 sequence has, in a valid stream or not, so
# the stream can be cut into lines before it is decoded.
_LINE_END = re.compile(br"\r\n|\n|\r")

_BOM = b"\xef\xbb\xbf"

_DIGITS = re.compile("[0-9]+\\Z")


class Decoder(object):
    """A client: feed it the bytes of one response, in any pieces.

    `events` are those dispatched so far, `last_event_id` the last event ID string,
    `reconnection_time` in milliseconds (None: never set), `comments` how many came.
    """

    def __init__(self, last_event_id=""):
        self.events = []
        self.last_event_id = last_event_id
        self.reconnection_time = None
        self.comments = 0
        self._data = []
        self._event_type = ""
        self._last_event_id_buffer = last_event_id
        self._line = bytearray()
        self._first_line = True
        self._after_cr = False

    def feed(self, octets):
        """Take the next bytes; a list of the events that they dispatch."""
        dispatched = len(self.events)
        start = 0
        if octets and self._after_cr:
            self._after_cr = False
            # The second half of a CRLF, whose line ended with the first.
            if octets[:1] == b"\n":
                start = 1
        for end in _LINE_END.finditer(octets, start):
            self._line += octets[start:end.start()]
            start = end.end()
            self._after_cr = end.group() == b"\r" and start == len(octets)
            line = bytes(self._line)
            self._line = bytearray()
            self._take_line(line)
        self._line += octets[start:]
        return self.events[dispatched:]

    def _take_line(self, line):
        if self._first_line:
            self._first_line = False
            # "The UTF-8 decode algorithm strips one leading UTF-8 Byte Order Mark (BOM),
            # if any."
            if line.startswith(_BOM):
                line = line[len(_BOM):]
        # https://encoding.spec.whatwg.org/#utf-8-decoder: as Python 3 does it. Python 2 lets lone
        # surrogates pass.
        line = line.decode("utf-8", "replace")
        # "If the line is empty (a blank line): Dispatch the event"
        if line == "":
            self._dispatch()
        # "If the line starts with a U+003A COLON character (:): Ignore the line."
        elif line[0] == ":":
            self.comments += 1
        elif ":" in line:
            field, value = line.split(":", 1)
            # "If value starts with a U+0020 SPACE character, remove it from value."
            if value[:1] == " ":
                value = value[1:]
            self._process_field(field, value)
        # "using the whole line as the field name, and the empty string as the field value"
        else:
            self._process_field(line, "")

    def _process_field(self, field, value):
        # "Field names must be compared literally, with no case folding performed."
        if field == "event":
            self._event_type = value
        elif field == "data":
            self._data.append(value + "\n")
        elif field == "id":
            # "Otherwise, ignore the field."
            if "\x00" not in value:
                self._last_event_id_buffer = value
        elif field == "retry":
            # "If the field value consists of only ASCII digits": with none, the text is
            # ambiguous; here it is ignored.
            if _DIGITS.match(value):
                self.reconnection_time = int(value, 10)

    def _dispatch(self):
        # First, so also for a block that dispatches nothing.
        self.last_event_id = self._last_event_id_buffer
        data = "".join(self._data)
        event_type = self._event_type
        self._data = []
        self._event_type = ""
        if data == "":
            return
        # "If the data buffer's last character is a U+000A LINE FEED (LF) character, then
        # remove the last character": exactly one.
        self.events.append(Event(event_type or "message", data[:-1], self.last_event_id))


def decode(octets, pieces=None):
    """A `Decoder` that was fed `octets`, or if `pieces` is a number, so many at a time."""
    decoder = Decoder()
    size = pieces or len(octets) or 1
    for start in range(0, len(octets), size):
        decoder.feed(octets[start:start + size])
    return decoder
