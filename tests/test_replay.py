"""Replay beside a model: each client gets exactly what it missed, or is told, never neither."""

from __future__ import unicode_literals

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, RuleBasedStateMachine

from spec_decoder import Decoder
from sse import Channel
from strategies import CHARACTERS

# Under -bb: hypothesis compares the bytes and the texts that it has made.
pytestmark = pytest.mark.filterwarnings("ignore::BytesWarning")

TOPICS = ["a", "b", "A", b"a".decode() + " ", "\u2026"]
AUDIENCES = st.none() | st.lists(st.sampled_from(TOPICS), max_size=3)
LISTENS = st.sets(st.sampled_from(TOPICS), max_size=3)


class Message(object):
    """What was added; its `number` is None if it is not kept."""

    def __init__(self, number, audience, event_id, text):
        self.number = number
        self.audience = audience        # None is all
        self.event_id = event_id
        self.text = text

    def is_for(self, topics):
        return self.audience is None or bool(topics.intersection(self.audience))


class Client(object):
    """Who reads its stream at times, is cut off, and reconnects with the last id that it saw."""

    def __init__(self, topics):
        self.topics = topics
        self.last_event_id = None
        self.sse = None
        self.expected = []      # the events that are pending
        self.got = []           # the numbers of the messages since `since`
        self.since = 0

    def read(self, share=1):
        """Read what is pending, or so much of it, and check it."""
        wire = self.sse.data_to_send()
        events = self.decoder.feed(wire[:int(len(wire) * share)])
        expected = self.expected[:len(events)] if share < 1 else self.expected
        assert [(event.type, event.data) for event in events] == [
            (kind, text) for kind, text, _ in expected]
        for kind, _, message in expected:
            if kind == "reset":
                self.since, self.got = message, []
            elif message.number is not None:
                self.got.append(message.number)
        self.expected = []
        self.last_event_id = self.decoder.last_event_id or None


class Machine(RuleBasedStateMachine):
    """Messages to any topics, and clients that return from any place.

    The model knows what was added, and the rule: it holds the whole log, and looks at all of it.
    """

    @initialize(history=st.integers(0, 4), alike=st.booleans(), retry=st.sampled_from([None, 5]))
    def begin(self, history, alike, retry):
        self.channel = Channel(history=history, default_retry=retry)
        self.size = history
        self.log = []           # all that were kept once
        self.alike = alike      # whether ids that users give may be equal
        self.epoch = (self.channel.newest_id or "").split("-")[0]
        self.clients = []
        self.texts = 0

    # -- The model -----------------------------------------------------------------------

    def own_id(self, number):
        return "%s-%d" % (self.epoch, number)

    def kept(self):
        return self.log[max(0, len(self.log) - self.size):]

    def place(self, event_id):
        """The number of the message that has this id, 0 for the start; None if it is unknown."""
        base = self.log[-self.size - 1:-self.size]
        for message in base + self.kept():
            if message.event_id == event_id:
                return message.number
        for number in range(len(self.log) + 1):
            if event_id == self.own_id(number):
                return number
        return None

    def missed(self, event_id, topics):
        """What a client with this id is sent: events, each with its message."""
        place = self.place(event_id)
        kept = self.kept()
        trimmed = self.log[:len(self.log) - len(kept)]
        events = []
        if place is None or any(
                message.number > place and message.is_for(topics) for message in trimmed):
            events = [("reset", "", len(trimmed))]
            place = 0
        return events + [("message", message.text, message) for message in kept
                         if message.number > place and message.is_for(topics)]

    # -- What happens --------------------------------------------------------------------

    def add(self, audience, add, keep=True, event_id=None):
        self.texts += 1
        text = "%d" % self.texts
        number = None
        if keep and self.size and audience != []:
            number = len(self.log) + 1
        elif keep and not self.size and event_id is not None:
            event_id = None
        to = self.channel if audience is None else self.channel.to(*audience)
        message = Message(number, audience, event_id or self.own_id(number or 0), text)
        add(to, text, event_id)
        if number is not None:
            self.log.append(message)
        for client in self.clients:
            if client.sse is not None and message.is_for(client.topics):
                client.expected.append(("message", text, message))

    @rule(audience=AUDIENCES, number=st.none() | st.integers(0, 3))
    def publish(self, audience, number):
        event_id = None
        if number is not None:
            event_id = "id%d" % (number if self.alike else self.texts)
        self.add(audience, lambda to, text, event_id: to.add_message(
            None, text, event_id=event_id), event_id=event_id)

    @rule(audience=AUDIENCES)
    def publish_what_is_not_kept(self, audience):
        self.add(audience, lambda to, text, _: to.add_json(None, int(text), keep=False),
                 keep=False)

    @rule(audience=AUDIENCES)
    def comment(self, audience):
        to = self.channel if audience is None else self.channel.to(*audience)
        to.add_comment("x")

    @precondition(lambda self: len(self.clients) < 5)
    @rule(topics=LISTENS)
    def come(self, topics):
        client = Client(topics)
        client.since = len(self.log)
        client.sse = self.channel.open(None, topics)
        client.decoder = Decoder()
        self.clients.append(client)

    def some(self, number, connected):
        clients = [client for client in self.clients if (client.sse is not None) == connected]
        return clients[number % len(clients)] if clients else None

    @rule(number=st.integers(0, 4))
    def read(self, number):
        client = self.some(number, True)
        if client is not None:
            client.read()

    @rule(number=st.integers(0, 4), share=st.floats(0, 1))
    def break_off(self, number, share):
        client = self.some(number, True)
        if client is not None:
            client.read(share)
            client.sse.close()
            client.sse = None

    @rule(topic=st.sampled_from(TOPICS))
    def log_out(self, topic):
        self.channel.to(topic).close()
        for client in self.clients:
            if client.sse is not None and topic in client.topics:
                assert client.sse.closed
                client.read()
                client.sse = None

    @rule(number=st.integers(0, 4))
    def reconnect(self, number):
        client = self.some(number, False)
        if client is None:
            return
        last = client.last_event_id
        client.sse = self.channel.open(last, client.topics)
        client.decoder = Decoder(last or "")
        if last is None:
            client.since, client.got = len(self.log), []
        elif self.size:
            client.expected = self.missed(last, client.topics)

    @precondition(lambda self: self.size)
    @rule(topics=LISTENS, number=st.integers(-1, 60), way=st.sampled_from(
        ["{0}-{1}", "id{1}", "{0}-0{1}", "{0}-+{1}", "0{0}-{1}", "{1}"]))
    def return_from_anywhere(self, topics, number, way):
        self.check_return(way.format(self.epoch, number), topics)

    @precondition(lambda self: self.size)
    @rule(topics=LISTENS, event_id=st.text(CHARACTERS, min_size=1))
    def return_with_anything(self, topics, event_id):
        self.check_return(event_id, topics)

    @precondition(lambda self: self.size and self.log)
    @rule(topics=LISTENS, number=st.integers(0, 100))
    def return_from_any_message(self, topics, number):
        self.check_return(self.log[number % len(self.log)].event_id, topics)

    def check_return(self, event_id, topics):
        """With this id, and cut off after each block of what it is sent."""
        expected = self.missed(event_id, topics)
        sse = self.channel.open(event_id, topics)
        sse.close()
        wire = sse.data_to_send()
        blocks = wire.split(b"\n\n")
        for count in range(len(blocks) + 1):
            decoder = Decoder(event_id)
            decoder.feed(b"\n\n".join(blocks[:count] + [b""]))
            events = decoder.events
            assert [event[:2] for event in events] == [
                event[:2] for event in expected[:len(events)]]
            if events and not self.alike:
                # The rest, then, and no reset.
                assert self.missed(decoder.last_event_id, topics) == expected[len(events):]
        assert len(events) == len(expected)

    # -- What holds ----------------------------------------------------------------------

    @invariant()
    def who_listens(self):
        if not hasattr(self, "channel"):
            return
        connected = [client for client in self.clients if client.sse is not None]
        assert set(self.channel.streams) == set(client.sse for client in connected)
        for topic in TOPICS:
            assert set(self.channel.to(topic).streams) == set(
                client.sse for client in connected if topic in client.topics)

    def teardown(self):
        """All that a client got since it came, or was told, is all that there was for it."""
        if not hasattr(self, "channel"):
            return
        for client in self.clients:
            if client.sse is None:
                self.reconnect_all()
            client.read()
            if self.size and not self.alike:
                assert client.got == [message.number for message in self.log if
                                      message.is_for(client.topics)
                                      and message.number > client.since]

    def reconnect_all(self):
        while self.some(0, False) is not None:
            self.reconnect(0)


TestMachine = Machine.TestCase
# One of its examples is many calls.
TestMachine.settings = settings(
    settings.default, max_examples=settings.default.max_examples // 2)
