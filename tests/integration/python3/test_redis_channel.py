"""examples/redis_channel.py: two of them with the same key are as good as two processes."""

import asyncio
import contextlib
import itertools
import subprocess
import threading

from loopback import environment, EXAMPLES, python, wait_for
import pytest
from redis_server import Wire

from redis_channel import NotConfirmed, RedisChannel
from sse import Closed

numbers = itertools.count()
RESET = "reset", ""


@pytest.fixture
def make(store):
    """A function that gives one more process's channel, of a key of this test's own."""
    with contextlib.ExitStack() as stack:
        def channel(url=store.url, key="key-%d" % next(numbers), **options):
            return stack.enter_context(contextlib.closing(RedisChannel(url, key, **options)))
        channel.key = channel.__defaults__[1]
        yield channel


@pytest.fixture
def wire(store):
    with Wire(store) as wire:
        yield wire


def events(sse):
    """The pairs of type and data that are pending."""
    blocks = [dict(line.split(": ", 1) for line in block.split("\n"))
              for block in str(sse).split("\n\n")[:-1]]
    return [(block.get("event"), block["data"]) for block in blocks if "data" in block]


def newest_id(sse):
    return [line for line in str(sse).split("\n") if line.startswith("id: ")][-1][4:]


def added(channel, count):
    """Add that many; their ids, and what clients have to get."""
    pairs = [("e", "number %d" % next(numbers)) for _ in range(count)]
    return [channel.add_message(*pair) for pair in pairs], pairs


def gets(sse, expected):
    with contextlib.suppress(AssertionError):
        wait_for(lambda: events(sse)[-1:] == expected[-1:], 15)
    assert events(sse) == expected


def test_all_processes_send_the_same(make):
    one, two = make(), make()
    streams = [one.open(), one.open(), two.open()]
    ids, pairs = added(one, 3)
    more_ids, more = added(two, 3)
    for sse in streams:
        gets(sse, pairs + more)
        assert [line[4:] for line in str(sse).split("\n") if line.startswith("id")][1:] \
            == ids + more_ids
    assert len(one.streams) == 2 and len(two.streams) == 1
    json = one.open()
    one.add_json("j", {"a": [1, "\n"]})
    two.add_event_name("text")
    gets(json, [("j", '{"a":[1,"\\n"]}'), ("name", "text")])


def test_one_blocking_read_for_each_process(make, store):
    wait_for(lambda: not store.readers())
    channels = make(), make()
    streams = [channel.open() for channel in channels for _ in range(50)]
    pairs = added(channels[0], 3)[1]
    for sse in streams:
        gets(sse, pairs)
    wait_for(lambda: store.readers() == 2)


def test_a_client_moves_to_another_process(make):
    one, two = make(), make()
    two.open()
    ids, pairs = added(one, 6)
    for place, event_id in enumerate(ids):
        gets(two.open(event_id), pairs[place + 1:])
    gets(two.open({"Last-Event-ID": ids[2]}), pairs[3:])


def test_a_client_moves_before_the_first_event(make):
    """Also to a process that had no client before: no id is known to one process alone."""
    one, two, late = make(), make(), make()
    first, second = newest_id(one.open()), newest_id(two.open())
    pairs = added(one, 2)[1]
    for channel, last in itertools.product((one, two, late), (first, second)):
        gets(channel.open(last), pairs)


def test_the_history_is_there_before_the_first_client(make):
    ids, pairs = added(make(), 150)
    gets(make().open(ids[0]), pairs[1:])
    # Of a history of 5 what is after the sixth newest is known, and no more.
    gets(make(history=5).open(ids[-6]), pairs[-5:])
    gets(make(history=5).open(ids[-7]), [RESET] + pairs[-5:])


def test_a_client_of_a_faster_process(make, wire):
    """Its id is not known here yet: that is not a gap."""
    one, two = make(), make(wire.url)
    gets(two.open(), [])
    wire.hold()
    added(one, 3)
    fast = one.open()
    ids, pairs = added(one, 4)
    gets(fast, pairs)
    assert wire.arrived.wait(10)
    opened = []
    threads = [threading.Thread(target=lambda: opened.append(two.open(ids[1]))) for _ in range(5)]
    for thread in threads:
        thread.start()
    threads[0].join(0.3)
    assert not opened
    wire.release()
    for thread in threads:
        thread.join()
    for sse in opened:
        gets(sse, pairs[2:])


def test_of_an_id_that_nobody_knows_a_client_is_told_at_once(make):
    channel = make()
    pairs = added(channel, 2)[1]
    for last in ("9" * 18 + "-0", "9" * 19 + "-" + "9" * 19, "9" * 20 + "-0", "0-1", "x", "1-",
                 "\u0661-\u0661"):
        gets(channel.open(last), [RESET] + pairs)


@pytest.mark.parametrize("wait", [False, True], ids=["", "while it waits"])
def test_a_client_of_a_faster_process_while_redis_is_away(make, wire, store, wait):
    """It is not told what is wrong, and not kept: its stream ends, and it asks again."""
    one, two = make(), make(wire.url)
    gets(two.open(), [])
    wire.hold()
    ids, pairs = added(one, 3)
    assert wire.arrived.wait(10)
    opened = []
    thread = threading.Thread(target=lambda: opened.append(two.open(ids[1])))
    if wait:
        thread.start()
        thread.join(0.3)
    with store.away():
        if not wait:
            thread.start()
        thread.join()
        assert opened[0].closed and not events(opened[0])
    wire.release()
    again = wait_for(lambda: (lambda sse: not sse.closed and sse)(two.open(ids[1])))
    gets(again, pairs[2:])


def test_redis_is_away_at_the_start(make, store):
    ids, pairs = added(make(), 3)
    late = make()
    with store.away():
        for last in (None, ids[0], "x"):
            sse = late.open(last)
            assert sse.closed and str(sse) == ""
    sse = wait_for(lambda: (lambda sse: not sse.closed and sse)(late.open(ids[0])))
    gets(sse, pairs[1:])


def test_redis_killed_and_started_again(make, store):
    one, two = make(), make()
    streams = one.open(), two.open()
    ids, pairs = added(one, 3)
    for sse in streams:
        gets(sse, pairs)
    with store.away():
        wait_for(lambda: one._away)
        resumed = one.open(ids[1])
        new = one.open()
        assert not resumed.closed and not new.closed
        with pytest.raises(NotConfirmed, match="the event may not have been published"):
            one.add_message("e", "refused")
    more = added(two, 3)[1]
    for sse, expected in zip(streams + (resumed, new), (pairs, pairs, pairs[2:], [])):
        gets(sse, expected + more)


@pytest.mark.parametrize("trim, left, told", [
    (lambda client, key: client.xtrim(key, maxlen=2, approximate=False), 2, True),
    (lambda client, key: client.xtrim(key, maxlen=0, approximate=False), 0, True),
    (lambda client, key: client.delete(key), 0, True),
    (lambda client, key: client.xtrim(key, maxlen=3, approximate=False), 3, True),
    (lambda client, key: client.xtrim(key, maxlen=4, approximate=False), 3, False),
], ids=["some", "all", "deleted", "the one that was read last", "those before"])
def test_trimmed_while_the_reader_is_behind(make, wire, store, trim, left, told):
    one, two = make(), make(wire.url)
    behind = two.open()
    wire.hold()
    ids, read = added(one, 1)
    assert wire.arrived.wait(10)
    more_ids, more = added(one, 3)
    trim(store.client, make.key)
    wire.release()
    gets(behind, read + [RESET] * told + more[3 - left:])
    last_ids, last = added(one, 2)
    gets(behind, read + [RESET] * told + more[3 - left:] + last)
    # What another process has in memory is not missing there, nor is it here what came before.
    gets(two.open(ids[0]), [RESET] * told + more[3 - left:] + last)
    gets(two.open(last_ids[0]), last[1:])


def test_trimmed_before_the_reader_came(make, store):
    one = make()
    sse = one.open()
    ids, pairs = added(one, 2)
    gets(sse, pairs)
    with store.away():
        wait_for(lambda: one._away)
    with store.client.pipeline() as pipeline:
        pipeline.xadd(make.key, {"data": "missed"})
        pipeline.xtrim(make.key, maxlen=0, approximate=False)
        pipeline.execute()
    more_ids, more = added(make(), 2)
    gets(sse, pairs + [RESET] + more)


def test_what_is_in_redis_is_bounded(make, store):
    ids, pairs = added(make(history=100), 500)
    assert 100 <= store.client.xlen(make.key) < 300


def test_an_entry_of_others_that_is_no_event_is_left_out(make, store):
    one, two = make(), make()
    sse = one.open()
    for fields in ({"x": "y"}, {"data": b"\xff"}, {"data": "x", "event": "a\nb"}):
        store.client.xadd(make.key, fields)
    store.client.xadd(make.key, {"data": "good", "event": "e"})
    gets(sse, [("e", "good")])
    gets(two.open(newest_id(make().open())), [])
    pairs = added(two, 1)[1]
    gets(sse, [("e", "good")] + pairs)


@pytest.mark.parametrize("error, event, text", [
    (ValueError, "a\nb", "x"), (TypeError, 1, "x"), (TypeError, "e", 1), (TypeError, "e", None),
    (TypeError, "e", ["x"]), (TypeError, "e", b"x"), (UnicodeEncodeError, "e", "\ud800"),
    (UnicodeEncodeError, "\udfff", "x"), (BufferError, "e", 1000 * "x"),
])
def test_what_no_client_could_get_is_not_written(make, store, error, event, text):
    channel = make(max_pending=1000)
    with pytest.raises(error):
        channel.add_message(event, text)
    with pytest.raises(ValueError):
        channel.add_json("e", float("nan"))
    with pytest.raises(TypeError):
        channel.add_message("e", "x", event_id="own")
    assert not store.client.exists(make.key)


def test_what_redis_refuses_is_an_error(make, store):
    channel = make()
    sse = channel.open()
    store.client.config_set("maxmemory", 1)
    try:
        with pytest.raises(NotConfirmed, match="the event may not .*maxmemory"):
            channel.add_message("e", "x")
    finally:
        store.client.config_set("maxmemory", 0)
    pairs = added(channel, 1)[1]
    gets(sse, pairs)


def test_what_was_not_answered_is_an_error_and_not_done_twice(make, wire, store):
    channel = make(wire.url)
    wire.hold(b"XADD")
    with pytest.raises(NotConfirmed, match="the event may not have been published: Timeout"):
        channel.add_message("e", "x")
    wire.release()
    assert store.client.xlen(make.key) == 1


def test_close(make, store):
    one, two = make(), make()
    streams = one.open(), two.open()
    pairs = added(one, 1)[1]
    for sse in streams:
        gets(sse, pairs)
    one.close()
    assert streams[0].closed and not streams[1].closed and one.streams == []
    assert one.open().closed
    with pytest.raises(Closed):
        one.add_message("e", "x")
    gets(streams[1], pairs + added(two, 1)[1])
    wait_for(lambda: store.readers() == 1)
    never_opened = make()
    never_opened.close()
    assert never_opened.open().closed


def test_head_is_not_kept(make):
    channel = make()
    assert channel.open({"type": "http", "method": "HEAD", "headers": []}).closed
    assert channel.streams == []


def test_asyncio(make):
    one, two = make(), make()

    async def main():
        sse = await asyncio.to_thread(one.open, {"type": "http", "method": "GET", "headers": []})
        stream = sse.astream()
        read = await stream.__anext__()
        pairs = (await asyncio.to_thread(added, two, 3))[1]
        while b"data: %s\n" % pairs[-1][1].encode() not in read:
            read += await asyncio.wait_for(stream.__anext__(), 10)
        assert read.count(b"data: ") == 3

    asyncio.run(main())


FORK = """
import os, sys
from redis_channel import RedisChannel
channel = RedisChannel(sys.argv[1], sys.argv[2])
channel.add_message("e", "before")      # with a connection that the children must not use
last = channel.open() and channel.newest_id if "open" in sys.argv else None
pipes = []
for _ in range(2):
    read, write = os.pipe()
    ready, tell = os.pipe()
    if not os.fork():
        sse = channel.open(last)
        os.write(tell, b"x")
        read = b""
        for chunk in sse.stream():
            read += chunk
            if b"data: after" in read:
                os.write(write, b"data: before" in read and b"all" or b"new")
                os._exit(0)
    os.read(ready, 1)
    pipes.append(read)
channel.add_message("e", "after")
print([os.read(pipe, 10).decode() for pipe in pipes])
"""


@pytest.mark.parametrize("opened", [[], ["open"]], ids=["after import", "after use"])
def test_a_fork(make, store, opened):
    """The children have readers of their own."""
    output = subprocess.run(python("-c", FORK, store.url, make.key, *opened), cwd=EXAMPLES,
                            stdout=subprocess.PIPE, timeout=30, check=True, env=environment())
    assert output.stdout.decode() == "['new', 'new']\n"
