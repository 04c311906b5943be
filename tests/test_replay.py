"""Replay beside a model: each client gets exactly what it missed, or is told, never neither."""

from __future__ import unicode_literals

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, RuleBasedStateMachine

import sse
from spec_decoder import Decoder
from sse import Channel
from strategies import CHARACTERS

# Under -bb: hypothesis compares the bytes and the texts that it has made.
pytestmark = pytest.mark.filterwarnings("ignore::BytesWarning")

TOPICS = ["a", "A", "a "]
LISTENS = [set(topics) for count in range(4) for topics in itertools.combinations(TOPICS, count)]
# None is all, and [] is nobody.
AUDIENCES = st.none() | st.lists(st.sampled_from(TOPICS), max_size=3)


class Message(object):
    def __init__(self, number, audience, event_id, text):
        self.number = number            # None: it is not kept
        self.audience = audience
        self.event_id = event_id
        self.text = text

    def is_for(self, topics):
        return self.audience is None or bool(topics.intersection(self.audience))


class Model(object):
    """A channel, and all that was ever added to it: the rule looks at all of it, each time."""

    def __init__(self, history, default_retry=None):
        self.channel = Channel(history=history, default_retry=default_retry)
        self.size = history
        self.log = []           # all that were kept once
        self.texts = 0
        self.epoch = (self.channel.newest_id or "").split("-")[0]

    def own_id(self, number):
        return "%s-%d" % (self.epoch, number)

    def add(self, audience, event_id=None, keep=True):
        self.texts += 1
        text = "%d" % self.texts
        to = self.channel if audience is None else self.channel.to(*audience)
        to.add_message(None, text, event_id=event_id, keep=keep)
        number = None
        if keep and self.size and audience != []:
            number = len(self.log) + 1
        message = Message(number, audience, event_id or self.own_id(number or 0), text)
        if number is not None:
            self.log.append(message)
        return message

    def trimmed(self):
        """How many of them are kept no more."""
        return max(0, len(self.log) - self.size)

    def place(self, event_id):
        """The number of the message that has this id, 0 for the start; None if it is unknown."""
        for message in self.log[max(0, self.trimmed() - 1):]:
            if message.event_id == event_id:
                return message.number
        for number in range(len(self.log) + 1):
            if event_id == self.own_id(number):
                return number
        return None

    def events(self, place, topics):
        return [("message", message.text, message) for message in self.log
                if message.number > place and message.is_for(topics)]

    def told(self, topics):
        """The events, with their messages, that a client is sent that has missed more."""
        return [("reset", "", self.trimmed())] + self.events(self.trimmed(), topics)

    def missed(self, event_id, topics):
        """The events that a client with this id is sent."""
        place = self.place(event_id)
        events = [] if place is None else self.events(place, topics)
        if place is None or events and events[0][2].number <= self.trimmed():
            return self.told(topics)
        return events


def pairs(events):
    return [event[:2] for event in events]


def replayed(model, event_id, topics):
    client = Decoder(event_id)
    client.feed(model.channel.open(event_id, topics).data_to_send())
    return client.events


MESSAGES = st.lists(st.tuples(AUDIENCES, st.none() | st.sampled_from("ABC")), max_size=15)


@given(st.integers(1, 3), MESSAGES, st.text(CHARACTERS))
def test_whoever_returns_from_wherever(history, messages, anything):
    model = Model(history)
    for audience, event_id in messages:
        model.add(audience, event_id)
    ids = [model.own_id(number) for number in range(len(model.log) + 2)] + [
        "A", "B", "C", model.epoch, model.own_id(1).replace("-1", "-01")]
    if anything:
        ids.append(anything)
    for event_id in ids:
        for topics in LISTENS:
            events = replayed(model, event_id, topics)
            assert pairs(events) == pairs(model.missed(event_id, topics))
            # Cut off after any of its events, it is not told again, and gets the rest.
            for count, event in enumerate(events, 1):
                if event.last_event_id not in "ABC":
                    assert pairs(events[count:]) == pairs(
                        model.missed(event.last_event_id, topics))


@given(st.integers(1, 3), MESSAGES, st.integers(1, 2))
def test_so_few_topics_are_remembered(history, messages, topics_remembered):
    """Then some are told for nothing, and still nobody misses anything in silence."""
    usual = sse._MAX_DISCARDED
    sse._MAX_DISCARDED = topics_remembered
    try:
        model = Model(history)
        for audience, event_id in messages:
            model.add(audience, event_id)
    finally:
        sse._MAX_DISCARDED = usual
    for number in range(len(model.log) + 1):
        for topics in LISTENS:
            events = pairs(replayed(model, model.own_id(number), topics))
            if events != pairs(model.missed(model.own_id(number), topics)):
                assert topics and events == pairs(model.told(topics))


class Client(object):
    """Reads its stream at times, is cut off, and reconnects with the last id that it saw."""

    def __init__(self, topics, since):
        self.topics = topics
        self.last_event_id = None
        self.sse = None
        self.expected = []      # the events that are pending
        self.got = []           # the numbers of the messages since `since`
        self.since = since

    def read(self, share=1):
        """Read what is pending, or so much of it, and check it."""
        wire = self.sse.data_to_send()
        events = self.decoder.feed(wire[:int(len(wire) * share)])
        expected = self.expected[:len(events)] if share < 1 else self.expected
        assert pairs((event.type, event.data) for event in events) == pairs(expected)
        for kind, _, message in expected:
            if kind == "reset":
                self.since, self.got = message, []
            elif message.number is not None:
                self.got.append(message.number)
        self.expected = []
        self.last_event_id = self.decoder.last_event_id or None


class Machine(RuleBasedStateMachine):
    """Messages to any topics, beside clients that come, read, are cut off and reconnect."""

    @initialize(history=st.integers(0, 4), retry=st.sampled_from([None, 5]),
                listens=st.lists(st.sampled_from(LISTENS), min_size=2, max_size=4))
    def begin(self, history, retry, listens):
        self.model = Model(history, retry)
        self.channel = self.model.channel
        self.clients = []
        for topics in listens:
            self.come(topics)

    def connected(self, yes=True):
        return [client for client in self.clients if (client.sse is not None) == yes]

    @rule(audience=AUDIENCES, own_id=st.booleans(), keep=st.booleans(), times=st.integers(1, 3))
    def publish(self, audience, own_id, keep, times):
        for _ in range(times):
            event_id = None if own_id or not keep else "id%d" % self.model.texts
            message = self.model.add(audience, event_id, keep)
            for client in self.connected():
                if message.is_for(client.topics):
                    client.expected.append(("message", message.text, message))

    @rule(audience=AUDIENCES)
    def comment(self, audience):
        to = self.channel if audience is None else self.channel.to(*audience)
        to.add_comment("x")

    def come(self, topics):
        self.clients.append(Client(topics, 0))
        self.reconnect(-1)
        self.clients[-1].read()
        assert self.clients[-1].last_event_id == self.channel.newest_id

    @precondition(lambda self: self.connected(False))
    @rule(number=st.integers(0, 4))
    def reconnect(self, number):
        clients = self.connected(False)
        client = clients[number % len(clients)]
        last = client.last_event_id
        client.sse = self.channel.open(last, client.topics)
        client.decoder = Decoder(last or "")
        if last is None:
            client.since, client.got = len(self.model.log), []
        elif self.model.size:
            client.expected = self.model.missed(last, client.topics)

    @precondition(lambda self: self.connected())
    @rule(number=st.integers(0, 4))
    def read(self, number):
        clients = self.connected()
        clients[number % len(clients)].read()

    @precondition(lambda self: self.connected())
    @rule(number=st.integers(0, 4), share=st.floats(0, 1))
    def break_off(self, number, share):
        clients = self.connected()
        client = clients[number % len(clients)]
        client.read(share)
        client.sse.close()
        client.sse = None

    @rule(topic=st.sampled_from(TOPICS))
    def log_out(self, topic):
        self.channel.to(topic).close()
        for client in self.connected():
            if topic in client.topics:
                assert client.sse.closed
                client.read()
                client.sse = None

    @invariant()
    def who_listens(self):
        if not hasattr(self, "channel"):
            return
        assert set(self.channel.streams) == set(client.sse for client in self.connected())
        for topic in TOPICS:
            assert set(self.channel.to(topic).streams) == set(
                client.sse for client in self.connected() if topic in client.topics)

    def teardown(self):
        """All that a client got since it came, or was told, is all that there was for it."""
        if not hasattr(self, "channel"):
            return
        while self.connected(False):
            self.reconnect(0)
        for client in self.clients:
            client.read()
            if self.model.size:
                assert client.got == [event[2].number for event in self.model.events(
                    client.since, client.topics)]


TestMachine = Machine.TestCase
