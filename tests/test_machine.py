"""What holds for every sequence of calls (hypothesis), beside the model."""

from __future__ import unicode_literals

import copy
import pickle

import pytest
import six
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine, initialize, invariant, precondition, rule)

from model import Block, lf, Peer, plain, plain_data, plain_event, plain_id, plain_retry, Refused
from sse import Sse
from strategies import BINARY, BOUNDS, EVENTS, IDS, RETRIES, SURROGATES, TEXTS


# Under -bb: hypothesis compares the bytes and the texts that it has made.
pytestmark = pytest.mark.filterwarnings("ignore::BytesWarning")


class Machine(RuleBasedStateMachine):
    """The whole public surface, call by call, beside a model of lists."""

    @initialize(retry=st.none() | RETRIES, max_pending=BOUNDS)
    def first(self, retry, max_pending):
        self.begin(retry, max_pending)

    def begin(self, retry, max_pending):
        self.sse = Sse(retry, max_pending)
        self.max_pending = max_pending
        self.pending = []
        self.pending_id = None      # a Block
        self.closed = False
        self.peer = Peer()          # takes by data_to_send and the like
        self.lines = None           # an iteration, with a peer of its own
        self.begun = None           # the block that it is in, and the items that are left
        self.streamed = False       # whether there was a stream
        self.chunks = None          # one that is open
        self.first_chunk = False    # whether it has its first chunk to give
        if retry is not None:
            self.pending.append(Block(["retry: %d\n\n" % retry], retry=retry))

    def add(self, call, make, message=False, keep=False):
        """Do `call`; it succeeds just if the model can `make` the block and it has its place."""
        before = bytes(self.sse)
        error = None
        try:
            block = make()
        except Refused:
            error = (TypeError, ValueError)
        else:
            size = sum(len(pending.wire) for pending in self.pending) + len(block.wire)
            if self.closed:
                error = ValueError
            elif self.max_pending is not None and not keep and size > self.max_pending:
                error = BufferError
        if error is not None:
            with pytest.raises(error):
                call()
            assert bytes(self.sse) == before
            return
        call()
        if keep:
            self.pending_id = block
            return
        self.pending.append(block)
        if message:
            self.pending_id = None

    def message(self, call, event, text, event_id):
        def make():
            line = None if event is None else plain(event)
            plain_event(event)
            last = self.pending_id.event_id if self.pending_id is not None else None
            if event_id is not None:
                last = plain_id(event_id)
            return Block.message(line, plain_data(text), last)

        self.add(call, make, message=True)

    @rule(event=st.none() | EVENTS | TEXTS, text=TEXTS | st.lists(TEXTS) | SURROGATES | BINARY,
          event_id=st.none() | IDS | st.integers() | SURROGATES | st.booleans())
    def add_message(self, event, text, event_id):
        self.message(lambda: self.sse.add_message(event, text, event_id=event_id),
                     event, text, event_id)

    @rule(event=EVENTS, value=st.integers(), event_id=st.none() | IDS)
    def add_json(self, event, value, event_id):
        self.message(lambda: self.sse.add_json(event, value, event_id=event_id),
                     event, "%d" % value, event_id)

    @rule(event_id=IDS | st.none() | st.integers() | SURROGATES | st.booleans())
    def set_event_id(self, event_id):
        self.add(lambda: self.sse.set_event_id(event_id),
                 lambda: Block.id(plain_id(event_id)), keep=True)

    @rule(num=RETRIES | st.integers() | st.booleans())
    def set_retry(self, num):
        self.add(lambda: self.sse.set_retry(num), lambda: Block(
            ["retry: %d\n\n" % plain_retry(num)], retry=num))

    @rule(text=TEXTS | SURROGATES)
    def add_comment(self, text):
        self.add(lambda: self.sse.add_comment(text), lambda: Block(
            [": %s\n" % line for line in lf(plain(text)).split("\n")]))

    def all_pending(self):
        return self.pending + ([self.pending_id] if self.pending_id is not None else [])

    def take_all(self):
        blocks = self.all_pending()
        self.pending = []
        self.pending_id = None
        return blocks

    @rule(way=st.sampled_from([Sse.data_to_send, lambda sse: "".join(sse).encode("utf-8")]))
    def take(self, way):
        self.peer.take(way(self.sse), self.take_all())
        assert len(self.sse._buffer) == 0

    @rule()
    def flush(self):
        self.sse.flush()
        self.take_all()

    @rule(count=st.integers(1, 8))
    def iterate_further(self, count):
        if self.lines is None:
            self.lines = iter(self.sse)
            self.reader = Peer()
            self.begun = None
        for _ in range(count):
            if self.begun is None:
                if self.pending:
                    block = self.pending.pop(0)
                elif self.pending_id is not None:
                    block, self.pending_id = self.pending_id, None
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
        self.streamed = True
        self.first_chunk = True
        self.comments = keepalive is not None

    # Else it would wait.
    @precondition(lambda self: self.chunks is not None
                  and (self.first_chunk or self.pending or self.closed))
    @rule()
    def next_chunk(self):
        if self.first_chunk and not self.comments and not self.pending:
            self.first_chunk = False
            assert next(self.chunks) == b""
            return
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
    def client_disconnects(self):
        self.chunks.close()
        self.chunks = None
        self.closed = True

    @precondition(lambda self: self.chunks is not None or len(self.pending) > 2)
    @rule()
    def close(self):
        self.sse.close()
        self.closed = True

    @precondition(lambda self: self.closed and self.chunks is None)
    @rule(retry=st.none() | RETRIES, max_pending=BOUNDS)
    def begin_again(self, retry, max_pending):
        self.begin(retry, max_pending)

    @precondition(lambda self: self.max_pending is None and not self.streamed
                  and self.lines is None)
    @rule(duplicate=st.sampled_from(
        [copy.deepcopy, lambda sse: pickle.loads(pickle.dumps(sse, 2))]))
    def go_on_with_a_copy(self, duplicate):
        original = self.sse
        self.sse = duplicate(original)
        original.flush()
        original.close()

    @invariant()
    def what_is_pending(self):
        if not hasattr(self, "sse"):
            return
        blocks = self.all_pending()
        wire = b"".join([block.wire for block in blocks])
        assert bytes(self.sse) == wire
        assert six.text_type(self.sse) == wire.decode("utf-8")
        assert list(self.sse._buffer) == [block.wire for block in self.pending]
        assert self.sse.closed is self.closed
        assert repr(self.sse) == "<Sse: %d blocks, %d bytes pending%s>" % (
            len(blocks), len(wire), ", closed" if self.closed else "")

    def teardown(self):
        if hasattr(self, "sse"):
            self.take(Sse.data_to_send)


TestMachine = Machine.TestCase
# One of its examples is many calls.
TestMachine.settings = settings(
    settings.default, max_examples=max(25, settings.default.max_examples // 2))
