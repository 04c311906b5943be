"""examples/redis_store.py: a real Redis that is killed and started again, or stopped."""

import functools
import signal
import subprocess
import threading
import time

import pytest
from loopback import wait_for
from stores import add, blocks

redis_store = pytest.importorskip("redis_store")
NotConfirmed, RedisStore, redis = (
    redis_store.NotConfirmed, redis_store.RedisStore, redis_store.redis)


@pytest.fixture
def key(tmp_path):
    return tmp_path.name


@pytest.fixture
def log(store, key):
    return RedisStore(store.url, key)


def read_on(log, place, count):
    """What is read after this place, until there are so many entries."""
    read = []
    while len(read) < count:
        place, base, entries = log.read(place, 0)
        assert base is None
        read += entries
    return read


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


def test_few_connections_are_kept(store, log):
    before = len(store.client.client_list())
    place = log.read(None, 0)[0]
    threads = [threading.Thread(target=read_on, args=(log, place, 200))]
    threads += [threading.Thread(target=add, args=[log] + 10 * ["x"]) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.client.client_list()) - before <= 8


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
    assert blocks(read_on(log, place, 2)) == [None, b"good"]
    assert blocks(log.read(None, 10)[2]) == [None, b"good"]


def trim(length):
    return lambda client, key: client.xtrim(key, maxlen=length, approximate=False)


def delete(client, key):
    client.delete(key)


def delete_and_add(client, key):
    client.delete(key)
    client.xadd(key, {"data": "z"})


@pytest.mark.parametrize("change, left, told, new", [
    (trim(4), [b"b", b"c", b"d"], False, False),    # without those that were read before the last
    (trim(3), [b"b", b"c", b"d"], True, False), (trim(2), [b"c", b"d"], True, False),
    (trim(0), [], True, False), (delete, [], True, True),
    (delete_and_add, [b"data: z\n\n"], True, True)],
    ids=["4", "3", "2", "0", "deleted", "deleted, and added to"])
def test_trimmed_while_the_reader_is_behind(store, log, key, change, left, told, new):
    [number] = add(log, "a")
    place = epoch, _ = log.read(None, 10)[0]
    add(log, "b", "c", "d")
    change(store.client, key)
    [last] = add(log, "e")
    now, base, entries = log.read(place, 10)
    assert (base is not None) == told and (now[0] != epoch) == new
    assert blocks(entries) == left + [b"e"]
    if told:
        # The one before the oldest that is left, or a beginning.
        assert base < entries[0][0]
        assert number <= base or new or not left
    assert now == log.newest() == (now[0], last)


def test_restored(store, log, key):
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
        for call in (functools.partial(log.add, b"refused", None, True),
                     functools.partial(other.read, place, 0), other.newest):
            with pytest.raises(NotConfirmed, match=key):
                call()
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


def test_what_was_not_answered_is_an_error_and_not_done_twice(store, log, monkeypatch):
    """Redis is stopped until the connection is given up."""
    def from_url(*arguments, inner=redis.Redis.from_url, **options):
        assert options["socket_timeout"] == options["socket_connect_timeout"] == 5
        return inner(*arguments, **dict(options, socket_timeout=0.5))

    def disconnect(*arguments, inner=redis.Connection.disconnect, **options):
        store.process.send_signal(signal.SIGCONT)
        return inner(*arguments, **options)

    monkeypatch.setattr(redis.Redis, "from_url", from_url)
    add(log, "a")
    store.process.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(redis.Connection, "disconnect", disconnect)
    try:
        with pytest.raises(NotConfirmed, match="(?i)timeout"):
            add(log, "b")
    finally:
        store.process.send_signal(signal.SIGCONT)
    monkeypatch.undo()
    add(log, "c")
    assert blocks(log.read(None, 10)[2]) == [b"a", b"b", b"c"]


@pytest.mark.parametrize("version, why", [
    ("4.0.14", "must be 5 or later, .* 4.0.14"), ("10.1.0", "refused")])
def test_an_old_redis_is_refused(key, monkeypatch, version, why):
    monkeypatch.setattr(redis.Redis, "info", lambda *_: {"redis_version": version})
    with pytest.raises(NotConfirmed, match=why):
        RedisStore("redis://127.0.0.1:1/0", key).newest()


def test_a_url_that_is_wrong():
    with pytest.raises(ValueError, match="(?i)redis://"):
        RedisStore("127.0.0.1:6379", "news")
