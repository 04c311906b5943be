"""examples/redis_store.py: a real Redis that is killed and started again, and real forks."""

import itertools
import subprocess
import threading
import time

import pytest
from loopback import environment, EXAMPLES, python, wait_for
from redis_server import Wire

import redis_store
from redis_store import NotConfirmed, RedisStore

numbers = itertools.count()


@pytest.fixture
def key():
    return "key-%d" % next(numbers)


@pytest.fixture
def log(store, key):
    return RedisStore(store.url, key)


@pytest.fixture
def wire(store):
    with Wire(store) as wire:
        yield wire


def add(log, *texts, **options):
    return [log.add(text.encode(), options.get("topics"), options.get("keep", True))
            for text in texts]


def blocks(entries):
    return [entry[1] for entry in entries]


def entry_id(number):
    return "%d-%d" % divmod(number, 2 ** 64)


def read_on(log, place, count):
    """What is read after this place, until there are so many entries."""
    read = []
    while len(read) < count:
        place, base, entries = log.read(place, 0)
        assert base is None
        read += entries
    return place, read


def test_what_is_added_is_read_in_order_with_its_place(store, log, key):
    (epoch, begin), base, entries = log.read(None, 10)
    assert log.newest() == (epoch, begin) and base == begin and entries == []
    assert epoch.isalnum() and 0 < len(epoch) <= 16
    numbers = add(log, "a") + add(log, "b", topics=["x", "\u2026"]) + add(
        log, "c", topics=[], keep=False)
    assert begin < numbers[0] and numbers == sorted(set(numbers))
    entries = [(numbers[0], b"a", None, True), (numbers[1], b"b", ["x", "\u2026"], True),
               (numbers[2], b"c", [], False)]
    for each in (log, RedisStore(store.url, key)):
        assert each.newest() == (epoch, numbers[2])
        assert each.read((epoch, begin), 10) == ((epoch, numbers[2]), None, entries)
        assert each.read((epoch, numbers[0]), 10) == ((epoch, numbers[2]), None, entries[1:])
    assert [entry[0].decode() for entry in store.client.xrange(key)][1:] \
        == list(map(entry_id, numbers))


@pytest.mark.parametrize("history", [0, 1, 2, 3, 100])
def test_a_start_gives_the_last_kept_entries(log, history):
    """However many are between them that are not kept."""
    begin = log.newest()[1]
    numbers = add(log, "a", "b")
    add(log, *["typing"] * 1200, keep=False)
    numbers += add(log, "c")
    add(log, "typing", keep=False)
    place, base, entries = log.read(None, history)
    assert place == log.newest()
    assert [number for number, _, _, _ in entries] == numbers[max(0, 3 - history):]
    assert base == ([begin] + numbers)[max(0, 3 - history)]


def test_many_are_read_a_part_at_a_time(log):
    place = log.read(None, 0)[0]
    numbers = add(log, *["x"] * 1200)
    place, read = read_on(log, place, 1200)
    assert [number for number, _, _, _ in read] == numbers
    assert place == log.newest()


def test_what_is_added_is_read_at_once(store, log, key):
    place = log.read(None, 0)[0]
    took = []

    def later():
        wait_for(store.readers)
        took.append(time.monotonic())
        add(RedisStore(store.url, key), "x")

    thread = threading.Thread(target=later)
    thread.start()
    assert blocks(log.read(place, 0)[2]) == [b"x"]
    assert time.monotonic() - took[0] < 1
    thread.join()


def test_an_idle_read_ends_and_costs_little(log):
    place = log.read(None, 0)[0]
    cpu, wall = time.process_time(), time.monotonic()
    assert log.read(place, 0) == (place, None, [])
    assert time.process_time() - cpu < 0.05 * (time.monotonic() - wall)
    assert 1 < time.monotonic() - wall < 10


def test_one_connection_reads_and_few_add(store, log):
    before = len(store.client.client_list())
    place = log.read(None, 0)[0]
    reader = threading.Thread(target=read_on, args=(log, place, 400))
    reader.start()
    threads = [threading.Thread(target=add, args=[log] + 20 * ["x"]) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reader.join()
    assert len(store.client.client_list()) - before <= 8
    place = log.newest()
    readers = store.readers()
    reader = threading.Thread(target=log.read, args=(place, 0))
    reader.start()
    wait_for(lambda: store.readers() == readers + 1)
    add(log, "x")
    reader.join()


@pytest.mark.parametrize("fields, given", [
    ("event headline data hello", (b"event: headline\ndata: hello\n\n", None, True)),
    ("data hello topic user:7", (b"data: hello\n\n", ["user:7"], True)),
    ("data hello topic user:7 topic user:9", (b"data: hello\n\n", ["user:7", "user:9"], True)),
    ("data hello keep 0", (b"data: hello\n\n", None, False)),
])
def test_redis_cli_adds(store, log, key, fields, given):
    place = log.read(None, 0)[0]
    subprocess.run(["redis-cli", "-p", str(store.port), "XADD", key, "*"] + fields.split(),
                   check=True, stdout=subprocess.DEVNULL)
    assert log.read(place, 0)[2][0][1:] == given


def test_redis_cli_adds_first(store, log, key):
    store.client.xadd(key, {"data": "hello"})
    (epoch, number), base, entries = log.read(None, 10)
    assert blocks(entries) == [b"data: hello\n\n"] and base == number - 1
    assert log.read((epoch, number), 0)[1] is None


@pytest.mark.parametrize("fields", [
    {"x": "y"}, {"data": b"\xff"}, {"data": "x", "event": "a\nb"}, {"block": "x", "topics": "["},
    {"data": "x", "topic": b"\xff"}, {"block": "x", "topics": "[" * 100000}, {"event": "e"}])
def test_an_entry_that_is_no_event_has_no_block(store, log, key, fields):
    place = log.read(None, 0)[0]
    store.client.xadd(key, fields)
    add(log, "good")
    read = read_on(log, place, 2)[1]
    assert blocks(read) == [None, b"good"]
    assert blocks(log.read(None, 10)[2]) == [None, b"good"]


@pytest.mark.parametrize("trim, left, told, new", [
    (lambda client, key: client.xtrim(key, maxlen=2, approximate=False), 2, True, False),
    (lambda client, key: client.xtrim(key, maxlen=0, approximate=False), 0, True, False),
    (lambda client, key: client.delete(key), 0, True, True),
    (lambda client, key: client.delete(key) and client.xadd(key, {"data": "z"}), 1, True, True),
    (lambda client, key: client.xtrim(key, maxlen=3, approximate=False), 3, True, False),
    (lambda client, key: client.xtrim(key, maxlen=4, approximate=False), 3, False, False),
], ids=["some", "all", "deleted", "deleted, and added to", "the one read last", "those before"])
def test_trimmed_while_the_reader_is_behind(store, log, key, trim, left, told, new):
    [number] = add(log, "a")
    place = epoch, _ = log.read(None, 10)[0]
    add(log, "b", "c", "d")
    trim(store.client, key)
    after = add(log, "e")[0]
    now, base, entries = log.read(place, 10)
    assert (base is not None) == told and (now[0] != epoch) == new
    assert blocks(entries)[-1:] == [b"e"] and len(entries) == left + 1
    if told:
        # The one before the oldest that is left, or a beginning.
        assert base < entries[0][0]
        assert number <= base or new or left == 0
    assert now == log.newest() == (now[0], after)
    assert read_on(log, now, 0)[0] == now


def test_restored(store, log, key, tmp_path):
    """To a copy that is older: the ids are new, in all processes, although the copy has the old."""
    others = [RedisStore(store.url, key) for _ in range(2)]
    add(log, "a", "b")
    copy = store.client.dump(key)
    add(log, "c", "d")
    places = [each.read(None, 10)[0] for each in others]
    store.client.restore(key, 0, copy, replace=True)
    add(log, *"efg")
    found = [each.read(place, 10) for each, place in zip(others, places)]
    assert [blocks(entries) for _, _, entries in found] == [[b"a", b"b", b"e", b"f", b"g"]] * 2
    assert found[0] == found[1] and found[0][0] == log.newest()
    assert found[0][0][0] != places[0][0]


def test_what_is_in_redis_is_bounded(store, key):
    log = RedisStore(store.url, key, size=100)
    add(log, *["x"] * 500)
    assert 100 <= store.client.xlen(key) < 300
    epoch, number = log.newest()
    assert log.read((epoch, number), 0)[1] is None
    assert len(log.read(None, 1000)[2]) == store.client.xlen(key)


def test_redis_killed_and_started_again(store, log, key):
    other = RedisStore(store.url, key)
    numbers = add(log, "a", "b")
    place = other.read(None, 0)[0]
    with store.away():
        with pytest.raises(NotConfirmed, match=key):
            add(log, "refused")
        with pytest.raises(NotConfirmed, match=key):
            other.read(place, 0)
        with pytest.raises(NotConfirmed, match=key):
            other.newest()
    # Its old connections are no error any more.
    add(log, "c")
    assert other.read(place, 10)[1] is None
    assert other.read((place[0], numbers[0]), 10)[0] == other.newest()
    assert blocks(other.read((place[0], numbers[0]), 10)[2]) == [b"b", b"c"]


def test_what_redis_refuses_is_an_error(store, log):
    add(log, "a")
    store.client.config_set("maxmemory", 1)
    try:
        with pytest.raises(NotConfirmed, match="maxmemory"):
            add(log, "refused")
        assert blocks(log.read(None, 10)[2]) == [b"a"]
    finally:
        store.client.config_set("maxmemory", 0)
    add(log, "b")


def test_what_was_not_answered_is_an_error_within_seconds_and_not_done_twice(store, wire, key):
    log = RedisStore(wire.url, key)
    wire.hold(b"MAXLEN")
    begun = time.monotonic()
    with pytest.raises(NotConfirmed, match="(?i)timeout"):
        add(log, "x")
    assert time.monotonic() - begun < 10
    wire.release()
    assert len(RedisStore(store.url, key).read(None, 10)[2]) == 1


@pytest.mark.parametrize("version, works", [(b"4.0.14", False), (b"10.1.0", True)])
def test_an_old_redis_is_refused(key, monkeypatch, version, works):
    monkeypatch.setattr(redis_store.redis.Redis, "info", lambda *_: {
        "redis_version": version.decode()})
    log = RedisStore("redis://127.0.0.1:1/0", key)
    with pytest.raises(NotConfirmed, match="refused" if works else "must be 5 or later, .* 4.0.14"):
        log.newest()


def test_a_url_that_is_wrong():
    with pytest.raises(ValueError, match="(?i)redis://"):
        RedisStore("127.0.0.1:6379", "news")


FORK = """
import os, sys, threading
from redis_store import RedisStore
log = RedisStore(sys.argv[1], sys.argv[2])

def follow():
    place = log.read(None, 0)[0]
    while True:
        place = log.read(place, 0)[0]

if "used" in sys.argv:
    log.add(b"before", None, True)
    threading.Thread(target=follow, daemon=True).start()
place = log.newest()
children = []
for _ in range(8):
    child = os.fork()
    if not child:
        assert log.read(None, 5)[0] >= place
        for _ in range(20):
            log.add(b"child", None, True)
        os._exit(0)
    children.append(child)
    log.add(b"parent", None, True)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
log.add(b"parent", None, True)
"""


@pytest.mark.parametrize("more", [[], ["used"]], ids=["after import", "while it is used"])
def test_forks(store, log, key, more):
    """A child uses connections of its own, and closes none of its parent's."""
    subprocess.run(python("-c", FORK, store.url, key, *more), timeout=60, check=True,
                   env=environment(PYTHONPATH=EXAMPLES))
    read = blocks(log.read(None, 1000)[2])
    assert read.count(b"child") == 160 and read.count(b"parent") == 9


SIGNALS = """
import random, signal, sys
from redis_store import RedisStore
log = RedisStore(sys.argv[1], sys.argv[2])
numbers, done = [], []

def handler(*_):
    numbers.append(log.add(b"handler", None, True))
    if not done:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00001, 0.002))

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0001)
for _ in range(500):
    numbers.append(log.add(b"main", None, True))
done.append(True)
signal.setitimer(signal.ITIMER_REAL, 0)
assert sorted(numbers) == [number for number, _, _, _ in log.read(None, 10 ** 6)[2]]
print(sum(block == b"handler" for _, block, _, _ in log.read(None, 10 ** 6)[2]))
"""


def test_a_signal_handler_that_adds(store, key):
    output = subprocess.run(python("-c", SIGNALS, store.url, key), timeout=60, check=True,
                            stdout=subprocess.PIPE, env=environment(PYTHONPATH=EXAMPLES))
    assert int(output.stdout) > 50
