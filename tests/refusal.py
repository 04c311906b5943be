"""What every refusal promises: nothing has changed, and the next message arrives."""

from __future__ import unicode_literals

import contextlib

import pytest

from spec_decoder import decode
from sse import Sse

WAITING = b"event: before\ndata: x\n\nid: kept\n\n"


@contextlib.contextmanager
def refused(error, words=(), new=None):
    """An `Sse` with a message and a kept id, for one call that has to raise just `error`."""
    sse = Sse(**({"default_retry": None} if new is None else new))
    sse.add_message("before", "x")
    sse.set_event_id("kept")
    assert bytes(sse) == WAITING
    with pytest.raises(Exception) as caught:
        yield sse
    assert caught.type is error
    message = str(caught.value)
    for word in words:
        assert word in message
    assert "secret" not in message
    assert len(message) < 120
    assert message.encode("ascii")
    assert bytes(sse) == WAITING
    sse.add_message("after", "y")
    wire = sse.data_to_send()
    assert wire == b"event: before\ndata: x\n\nevent: after\ndata: y\nid: kept\n\n"
    assert decode(wire).events == [("before", "x", ""), ("after", "y", "kept")]
    assert bytes(sse) == b""
