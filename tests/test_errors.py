"""Error messages: short, ASCII; the field, the rule, the place; no value in full."""

from __future__ import unicode_literals

import pytest
import six

from sse import Sse
from support import refused

LONG = "secret" * 1000


@pytest.mark.parametrize("call, error, message", [
    (lambda sse: sse.add_message("a\nb" + LONG, "x"), ValueError,
     "event must be one line (U+000A at index 1)"),
    (lambda sse: sse.add_message(LONG + "\r", "x"), ValueError,
     "event must be one line (U+000D at index 6000)"),
    (lambda sse: sse.add_message(5, "x"), TypeError, "event must be text or bytes, not int"),
    (lambda sse: sse.add_message("e", {LONG: 5}), TypeError,
     "data must be text, bytes or a list of them (JSON goes through add_json), not dict"),
    (lambda sse: sse.add_comment(None), TypeError, "comment must be text or bytes, not NoneType"),
    (lambda sse: sse.set_event_id("a\x00" + LONG), ValueError,
     "id must have no control characters (U+0000 at index 1)"),
    (lambda sse: sse.set_event_id(" 7"), ValueError, "id must not begin or end with a space"),
    (lambda sse: sse.set_event_id(LONG), ValueError, "id must not be longer than 1024 bytes"),
    (lambda sse: sse.set_event_id(True), TypeError, "id must be text, bytes or an int, not bool"),
    (lambda sse: sse.set_event_id(1.5), TypeError, "id must be text, bytes or an int, not float"),
    (lambda sse: sse.set_retry("5"), TypeError,
     "retry must be an int, not %s" % six.text_type.__name__),
    (lambda sse: sse.set_retry(10 ** 5000), ValueError,
     "retry must be 0 to 2147483647 milliseconds"),
    (lambda sse: sse.add_message("e", b"x", "hex"), LookupError, "hex is not a text encoding"),
    (lambda sse: Sse(max_pending=0), ValueError, "max_pending must be above 0"),
    (lambda sse: Sse(max_pending=1.5), TypeError, "max_pending must be an int, not float"),
    (lambda sse: Sse(None, 20).add_message("e", LONG), BufferError,
     "6017 bytes would be pending, and max_pending is 20"),
    (lambda sse: sse.stream("5"), TypeError,
     "keepalive must be a number or None, not %s" % six.text_type.__name__),
    (lambda sse: sse.stream(0), ValueError,
     "keepalive must be above 0 and up to 2147483 seconds"),
])
def test_message(call, error, message):
    with pytest.raises(error) as caught:
        call(Sse(None))
    assert str(caught.value) == message


@pytest.mark.parametrize("call", [
    lambda sse: sse.add_message(LONG + "\ud800", "x"),
    lambda sse: sse.add_message("e", LONG + "\ud800"),
    lambda sse: sse.set_event_id("\ud800"), lambda sse: sse.add_comment("\n" + LONG + "\ud800"),
])
def test_surrogate_message(call):
    words = ["utf-8", "\\ud800", "position", "surrogates not allowed"]
    with refused(UnicodeEncodeError, words) as sse:
        call(sse)
