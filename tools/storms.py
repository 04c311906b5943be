"""Threads that do at once, again and again, all that the documentation lets them do at once.

    python tools/storms.py [--jython] [NAME ...]

Each storm says what it saw; the first event that is lost, doubled, torn or out of order fails it.
With --jython they run on Jython, whose threads run at once: it has no lock around the interpreter
(a GIL). So nothing here may rely on one either: a thread changes nothing that another one changes.
"""

from __future__ import print_function, unicode_literals

import os
import platform
import random
import subprocess
import sys
import threading
import time
import traceback
import weakref

import six

import sse
from sse import Channel, Closed, last_event_id, Sse

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "tests"))
from held import held       # noqa: E402
from spec_decoder import decode as decoded, Decoder     # noqa: E402

WRITERS = 8
EVENTS = 1000
CLIENTS = 6
MINUTES = 5


class Crew(object):
    """Threads that begin at the same time; `run` waits for all of them."""

    def __init__(self):
        self.begin = threading.Event()
        self.threads = []

    def add(self, function, *arguments):
        errors = []
        done = threading.Event()

        def run():
            self.begin.wait()
            try:
                function(*arguments)
            except:     # noqa: E722 (Java's exceptions are no BaseException)
                errors.append(traceback.format_exc())
            done.set()

        thread = threading.Thread(target=run)
        thread.daemon = True
        thread.start()
        self.threads.append((done, errors))
        return thread

    def run(self):
        self.begin.set()
        until = time.time() + 60 * MINUTES
        # Not join: another thread may do so, too, and on PyPy it raises then.
        for done, _ in self.threads:
            # Looked at again and again: one that failed may leave another waiting.
            while not done.wait(0.1) and not any(errors for _, errors in self.threads):
                assert time.time() < until, "a thread hangs"
        for _, errors in self.threads:
            assert not errors, errors[0]


def text(writer, number):
    return "%d %d\n%s" % (writer, number, "x" * (number % 97))


def write(target, writer, events=EVENTS):
    """Each way to add a message. Over the bound, until a reader has made room."""
    adders = [
        lambda value: target.add_message("storm", value),
        lambda value: target.add_event_storm(value.split("\n")),
        lambda value: target.add_message("storm", value, event_id="of-%d-%d" % (writer, number)),
        lambda value: target.add_json("storm", value)]
    for number in range(events):
        while True:
            try:
                adders[number % 4](text(writer, number))
                break
            except BufferError:
                time.sleep(0.0001)


def iterate(sse):
    return "".join(sse).encode("utf-8")


def look_and_take(sse):
    """What is pending, looked at, is whole; then it is taken."""
    decode(bytes(sse))
    decode(six.text_type(sse).encode("utf-8"))
    assert repr(sse)
    return sse.data_to_send()


def polled(take):
    def read(sse):
        while True:
            # In this order: what was added before the close is taken after it.
            closed = sse.closed
            chunk = take(sse)
            if chunk:
                yield chunk
            elif closed:
                return
            else:
                time.sleep(0.0001)
    return read


READ = {
    "iter": polled(iterate),
    "data_to_send": polled(lambda sse: sse.data_to_send()),
    "snapshots": polled(look_and_take),
    "stream": lambda sse: sse.stream(keepalive=None),
}


def decode(octets):
    """The events, as (writer, number); whole ones all, as `write` has made them."""
    assert octets.endswith(b"\n") or not octets, "torn: %r" % octets[-60:]
    found = []
    for event in decoded(octets).events:
        data = event.data
        writer, number = map(int, (
            data.strip('"').replace("\\n", "\n").split("\n")[0]).split(" "))
        json = number % 4 == 3
        whole = text(writer, number)
        assert data == ('"%s"' % whole.replace("\n", "\\n") if json else whole), "torn: %r" % data
        if number % 4 == 2:
            assert event.last_event_id == "of-%d-%d" % (writer, number), "torn: %r" % (event,)
        found.append((writer, number))
    return found


def check(found, writers=WRITERS, events=EVENTS, some=False):
    """Each event once, and those of a writer in its order. `some`: others were discarded."""
    seen = dict((writer, []) for writer in range(writers))
    for writer, number in found:
        seen[writer].append(number)
    for writer, numbers in sorted(seen.items()):
        assert numbers == sorted(set(numbers)), "doubled, or out of order: of writer %d" % writer
        if not some:
            missing = set(range(events)).difference(numbers)
            assert not missing, "lost: %d of writer %d" % (len(missing), writer)


def buffer_storm(way, readers=1, max_pending=None, flushers=0):
    """Writers, and readers who share what is written; with flushers, what these leave."""
    sse = Sse(default_retry=None, max_pending=max_pending)
    crew = Crew()
    taken = [[] for _ in range(readers)]
    # Of two that take at once, one may go on with what was added after the other made room.
    alone = readers == 1 and not flushers and way != "iter"

    def read(chunks):
        for chunk in READ[way](sse):
            if alone and max_pending is not None:
                assert len(chunk) <= max_pending, "over the bound: %d" % len(chunk)
            chunks.append(chunk)

    def flush():
        while not sse.closed:
            sse.flush()
            time.sleep(0.001)

    def close():
        for writer in writers:
            writer.join()
        sse.close()

    for chunks in taken:
        crew.add(read, chunks)
    # Jython's io is slow.
    events = EVENTS // 4 if way == "iter" else EVENTS
    writers = [crew.add(write, sse, writer, events) for writer in range(WRITERS)]
    for _ in range(flushers):
        crew.add(flush)
    crew.add(close)
    crew.run()
    found = [decode(b"".join(chunks)) for chunks in taken]
    if readers == 1:
        check(found[0], events=events, some=flushers)
    else:
        for of_reader in found:
            check(of_reader, events=events, some=True)
        check(sorted(sum(found, [])), events=events)
    assert bytes(sse) == b""
    return sum(map(len, found))


def bound_storm(way, readers=1, flushers=0):
    """As above; and after all ways to take at once the bound is right, to the byte."""
    bound = 5000
    count = buffer_storm(way, readers, bound, flushers)
    sse = Sse(default_retry=None, max_pending=bound)
    crew = Crew()
    writers = [crew.add(write, sse, writer) for writer in range(WRITERS)]
    takers = [sse.data_to_send, lambda: list(sse), sse.flush]
    done = threading.Event()

    def take():
        while not done.is_set():
            for taker in takers:
                taker()

    def finish():
        for writer in writers:
            writer.join()
        done.set()

    crew.add(take)
    crew.add(take)
    crew.add(finish)
    crew.run()
    sse.flush()
    sse.add_comment("x" * (bound - len(": \n")))
    try:
        sse.add_comment()
    except BufferError:
        return count
    raise AssertionError("the bound has drifted")


def one_stream_storm():
    """Of two threads that begin a stream of one Sse at the same moment, one gets it."""
    rounds = 1000
    buffers = [Sse() for _ in range(rounds)]
    arrived = [[0] * rounds, [0] * rounds]
    got = [[], []]

    def begin(me):
        for index, buffer in enumerate(buffers):
            arrived[me][index] = 1
            while not arrived[1 - me][index]:
                time.sleep(0)
            try:
                got[me].append((index, buffer.stream()))
            except RuntimeError:
                pass

    crew = Crew()
    crew.add(begin, 0)
    crew.add(begin, 1)
    crew.run()
    assert sorted(index for mine in got for index, _ in mine) == list(range(rounds)), (
        "a stream was given to both, or to neither")
    return rounds


def id_storm():
    """One thread sets pending ids while others add and take: none is sent twice."""
    sse = Sse(default_retry=None)
    taken = []

    def set_ids():
        for number in range(EVENTS):
            sse.set_event_id("pending-%d" % number)

    def add():
        for number in range(EVENTS):
            sse.add_message(None, "x")

    def close():
        for writer in writers:
            writer.join()
        sse.close()

    crew = Crew()
    crew.add(lambda: taken.extend(READ["stream"](sse)))
    writers = [crew.add(function) for function in [set_ids] + [add] * (WRITERS - 1)]
    crew.add(close)
    crew.run()
    wire = b"".join(taken)
    sent = [line for line in wire.split(b"\n") if line.startswith(b"id: ")]
    assert len(sent) == len(set(sent)), "an id was sent twice"
    events = len(decoded(wire).events)
    assert events == EVENTS * (WRITERS - 1), "lost, doubled or torn: %d" % events
    return events


def close_storm():
    """What was added before another thread closed is sent; what raises is not."""
    count = 0
    for _ in range(30):
        sse = Sse(default_retry=None)
        added = [[] for _ in range(4)]
        taken = []

        def add(writer, numbers):
            for number in range(EVENTS):
                try:
                    sse.add_message("storm", "%d %d" % (writer, number))
                except Closed:
                    return
                # Added before close() was called, if it is not closed now.
                if not sse.closed:
                    numbers.append(number)

        crew = Crew()
        crew.add(lambda: taken.extend(READ["stream"](sse)))
        for writer, numbers in enumerate(added):
            crew.add(add, writer, numbers)
        crew.add(lambda: (time.sleep(0.002), sse.close()))
        crew.run()
        found = [event.data for event in decoded(b"".join(taken)).events]
        assert len(found) == len(set(found)), "doubled"
        sent = set("%d %d" % (writer, number)
                   for writer, numbers in enumerate(added) for number in numbers)
        assert sent.issubset(found), "lost"
        count += len(found)
    return count


class Client(object):
    """One that breaks off at random, also within an event, and reconnects with the last id."""

    def __init__(self, channel, way, seed, topics=(), steady=False):
        self.channel = channel
        self.way = way
        self.topics = topics
        self.steady = steady        # never breaks off
        self.random = random.Random(seed)
        self.sse = channel.open(None, topics)
        # Its first id. Without one it would miss what is added before it reconnects.
        self.decoder = Decoder()
        self.events = self.decoder.feed(self.sse.data_to_send())
        self.reconnected = 0

    def run(self):
        while True:
            for chunk in READ[self.way](self.sse):
                break_off = not self.steady and (
                    self.reconnected < 3 or self.random.random() < 0.2)
                if break_off:
                    chunk = chunk[:self.random.randint(0, len(chunk))]
                self.events.extend(self.decoder.feed(chunk))
                if self.events and self.events[-1].type == "last":
                    self.sse.close()
                    return
                if break_off:
                    break
            self.sse.close()
            self.reconnected += 1
            last = self.decoder.last_event_id
            environ = {str("REQUEST_METHOD"): str("GET"),
                       str("HTTP_LAST_EVENT_ID"): str(last)}
            self.decoder = Decoder(last)
            headers = {"Last-Event-ID": last}
            self.sse = self.channel.open(self.random.choice([
                environ, headers, last, last_event_id(environ)]), self.topics)


def channel_storm(way):
    """Publishers and clients that reconnect: each client has every event once, in one order."""
    publishers = 2
    # So little that clients are closed for being slow, too.
    channel = Channel(history=publishers * EVENTS + 1, max_pending=20000)
    clients = [Client(channel, way, seed) for seed in range(CLIENTS)]
    crew = Crew()
    writers = [crew.add(write, channel, writer) for writer in range(publishers)]
    for client in clients:
        crew.add(client.run)

    def finish():
        for writer in writers:
            writer.join()
        channel.add_message("last", "")

    crew.add(finish)
    crew.run()
    orders = []
    for client in clients:
        wire = [(event.type, event.data, event.last_event_id) for event in client.events]
        assert wire.pop()[0] == "last"
        assert all(kind == "storm" for kind, _, _ in wire), "%s" % wire[0][0]
        assert len(set(ident for _, _, ident in wire)) == len(wire), "an id came twice"
        orders.append(wire)
    for order in orders:
        check([tuple(map(int, data.strip('"').replace("\\n", "\n").split("\n")[0].split(" ")))
               for _, data, _ in order], writers=publishers)
        assert order == orders[0], "not all in one order"
    assert channel.streams == [], "streams that were closed are still there"
    channel.close()
    assert all(client.reconnected >= 3 for client in clients)
    return sum(map(len, orders))


def open_storm():
    """Streams that open and close all the time, while two publish to one that stays."""
    channel = Channel(history=100)
    stays = channel.open(channel.newest_id)     # with nothing in the history
    taken = []
    done = threading.Event()

    def come_and_go(seed):
        opened = random.Random(seed)
        while not done.is_set():
            streams = [channel.open(channel.newest_id) for _ in range(5)]
            opened.shuffle(streams)
            for stream in streams:
                stream.add_comment("to one alone")
                stream.close()
            assert stays in channel.streams

    def finish():
        for thread in writers:
            thread.join()
        done.set()
        for thread in others:
            thread.join()
        channel.close()

    crew = Crew()
    crew.add(lambda: taken.extend(READ["stream"](stays)))
    writers = [crew.add(write, channel, writer) for writer in range(2)]
    others = [crew.add(come_and_go, seed) for seed in range(4)]
    crew.add(finish)
    crew.run()
    found = decode(b"".join(taken))
    check(found, writers=2)
    assert channel.streams == []
    return len(found)


TOPICS = ["busy", "quiet", "Quiet", "quiet "]


def audience(writer, number):
    """The topics of a message: None for all; nearly all are for the busy one."""
    drawn = random.Random(writer * 10007 + number)
    if drawn.random() < 0.8:
        return ["busy"]
    return drawn.choice([None, ["quiet"], ["Quiet"], ["quiet ", "quiet"], ["busy", "Quiet"]])


def check_topics(client, log):
    """Each of its own once, in the order of the log; it was told only if it had missed one."""
    own = [(place, message) for place, message in log
           if not set(audience(*message) or client.topics).isdisjoint(client.topics)]
    got, since, last, resets = [], 0, 0, 0
    for event in client.events:
        place = int(event.last_event_id.split("-")[1])
        if event.type == "reset":
            assert got == [row for row in own if since < row[0] <= last], "lost before a reset"
            assert [row for row in own if last < row[0] <= place], "a reset for nothing"
            got, since = [], place
            resets += 1
        else:
            got.append((place, tuple(map(int, event.data.split(" ")))))
        last = place
    assert got == [row for row in own if row[0] > since], (
        "lost, doubled, out of order, or not its own")
    return resets


def visit(channel, topics):
    """A stream that comes, hears what is for the first of its topics, and goes."""
    stream = channel.open(None, topics)
    channel.to(topics[0]).add_message("greeting", "hello", keep=False)
    # It may be closed at any time: too much is pending.
    assert b"hello" in stream.data_to_send() or stream.closed, "joined, and does not hear"
    assert stream in channel.to(topics[0]).streams or stream.closed, "joined, and is not there"
    stream.close()


def check_empty(channel):
    assert channel.streams == []
    left = [item for item in held(channel) if isinstance(item, weakref.ref) or item == "hall"]
    assert not left, "left behind: %r" % left[:3]


def index_storm():
    """Streams that join a topic at the moment in which the last one leaves it."""
    rounds = 2000
    channel = Channel()
    crew = Crew()
    for _ in range(3):
        crew.add(lambda: [visit(channel, ["hall"]) for _ in range(rounds)])
    crew.run()
    check_empty(channel)
    return 3 * rounds


def topic_storm(way, history, max_pending):
    """Publishers to topics, clients that reconnect, and streams that come and go meanwhile."""
    publishers = 2
    channel = Channel(history=history, max_pending=max_pending)
    # It listens to all of them: what it gets is the log.
    witness = Client(channel, way, 0, TOPICS, steady=history < EVENTS)
    clients = [Client(channel, way, seed, random.Random(seed).sample(TOPICS, 1 + seed % 3))
               for seed in range(1, CLIENTS)]
    done = threading.Event()

    def publish(writer):
        for number in range(EVENTS):
            topics = audience(writer, number)
            to = channel if topics is None else channel.to(*topics)
            to.add_message(None, "%d %d" % (writer, number))
            if number % 7 == 0:
                channel.to("busy", "hall").add_comment("to some")

    def come_and_go():
        while not done.is_set():
            visit(channel, ["hall", "busy"])

    def finish():
        for thread in writers:
            thread.join()
        done.set()
        for thread in others:
            thread.join()
        channel.add_message("last", "")

    crew = Crew()
    writers = [crew.add(publish, writer) for writer in range(publishers)]
    others = [crew.add(come_and_go) for _ in range(2)]
    for client in clients + [witness]:
        crew.add(client.run)
    crew.add(finish)
    crew.run()
    for client in clients + [witness]:
        assert client.events.pop().type == "last"
        client.events = [event for event in client.events if event.type != "greeting"]
    log = [(int(event.last_event_id.split("-")[1]), tuple(map(int, event.data.split(" "))))
           for event in witness.events]
    check([message for _, message in log], writers=publishers)
    assert log == sorted(log), "not in the order of the ids"
    resets = sum(check_topics(client, log) for client in clients + [witness])
    assert not resets or history < EVENTS, "a reset, and all was kept"
    check_empty(channel)
    return sum(len(client.events) for client in clients)


STORMS = [
    ("iter", lambda: buffer_storm("iter")),
    ("iter, 2 readers", lambda: buffer_storm("iter", readers=2)),
    ("data_to_send", lambda: buffer_storm("data_to_send")),
    ("data_to_send, 2 readers", lambda: buffer_storm("data_to_send", readers=2)),
    ("snapshots", lambda: buffer_storm("snapshots")),
    ("stream", lambda: buffer_storm("stream")),
    ("iter, flush", lambda: buffer_storm("iter", flushers=1)),
    ("stream, flush", lambda: buffer_storm("stream", flushers=1)),
    ("bound, iter", lambda: bound_storm("iter")),
    ("bound, data_to_send, 2 readers", lambda: bound_storm("data_to_send", readers=2)),
    ("bound, stream", lambda: bound_storm("stream")),
    ("bound, stream, flush", lambda: bound_storm("stream", flushers=1)),
    ("one stream", one_stream_storm),
    ("ids", id_storm),
    ("close", close_storm),
    ("channel, iter", lambda: channel_storm("iter")),
    ("channel, data_to_send", lambda: channel_storm("data_to_send")),
    ("channel, stream", lambda: channel_storm("stream")),
    ("channel, open and close", open_storm),
    ("topics, index", index_storm),
    ("topics, iter", lambda: topic_storm("iter", 2 * EVENTS + 1, 20000)),
    ("topics, stream", lambda: topic_storm("stream", 2 * EVENTS + 1, 20000)),
    ("topics, data_to_send, trimmed", lambda: topic_storm("data_to_send", 50, None)),
    ("topics, stream, trimmed", lambda: topic_storm("stream", 50, None)),
]


def on_jython(names):
    from shutil import which
    jython = which("jython")
    if jython is None:
        print("no jython: nothing was run")
        return 1 if os.environ.get("SSE_NO_SKIPS") else 0
    # This interpreter lends it the sse that is tested, and six.
    environ = dict(os.environ, JYTHONPATH=os.path.dirname(os.path.abspath(six.__file__)))
    return subprocess.call([jython, os.path.abspath(__file__)] + names, env=environ)


def main(names):
    print("%s %s" % (platform.python_implementation(), sys.version.split("\n")[0]))
    print("sse %s from %s" % (sse.__version__, sse.__file__))
    failed = 0
    chosen = [(name, storm) for name, storm in STORMS
              if not names or any(part in name for part in names)]
    assert chosen, "no storm has such a name: %s" % names
    for name, storm in chosen:
        began = time.time()
        try:
            result = "%s events" % storm()
        except:     # noqa: E722
            traceback.print_exc()
            result = "FAILED"
            failed += 1
        print("%-32s %s, %.1f s" % (name, result, time.time() - began))
        sys.stdout.flush()
    print("%d storms failed" % failed if failed else "nothing lost, doubled or torn")
    # Not sys.exit: a thread that hangs would hold it up.
    sys.stdout.flush()
    os._exit(1 if failed else 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--jython"]:
        sys.exit(on_jython(sys.argv[2:]))
    main(sys.argv[1:])
