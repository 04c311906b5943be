"""What examples/sqlite_store.py and examples/redis_store.py both promise a channel."""

import signal
import time

import pytest
from stores import add, blocks, fill, numbers, process, said, where


@pytest.fixture(params=["SQLite", "Redis"])
def log(request, tmp_path):
    if request.param == "SQLite":
        return pytest.importorskip("sqlite_store").SQLiteStore(str(tmp_path / "events.db"))
    server = request.getfixturevalue("store")
    return pytest.importorskip("redis_store").RedisStore(server.url, tmp_path.name)


def another(log, **options):
    return type(log)(*where(log), **options)


def test_what_is_added_is_read_in_order_with_its_place(log):
    (epoch, begin), base, entries = log.read(None, 10)
    assert log.newest() == (epoch, begin) and base == begin and entries == []
    assert epoch.isalnum() and 0 < len(epoch) <= 16
    one, two, three = add(log, "a") + add(log, "b", topics=["x", "\u2026"]) + add(
        log, "c", topics=[], keep=False)
    assert begin < one < two < three
    entries = [(one, b"a", None, True), (two, b"b", ["x", "\u2026"], True),
               (three, b"c", [], False)]
    for each in log, another(log):
        assert each.newest() == (epoch, three)
        assert each.read((epoch, begin), 10) == ((epoch, three), None, entries)
        assert each.read((epoch, one), 10) == ((epoch, three), None, entries[1:])


def test_a_start_gives_the_last_kept_entries(log):
    """However many are between them that are not kept."""
    begin = log.newest()[1]
    kept = add(log, "a", "b")
    fill(log, 1200, "typing", keep=False)
    kept += add(log, "c")
    add(log, "typing", keep=False)
    for history in 0, 1, 2, 3, 100:
        place, base, entries = log.read(None, history)
        assert place == log.newest()
        assert numbers(entries) == kept[max(0, 3 - history):]
        assert base == ([begin] + kept)[max(0, 3 - history)]


def test_many_are_read_a_part_at_a_time(log):
    place, read = log.read(None, 0)[0], []
    fill(log, 1200)
    while len(read) < 1200:
        place, base, entries = log.read(place, 0)
        assert base is None and 0 < len(entries) <= 500 and place[1] == entries[-1][0]
        read += numbers(entries)
    assert place == log.newest() and read == numbers(log.read(None, 2000)[2])


def test_an_idle_read_ends_and_costs_little(log):
    place = log.read(None, 0)[0]
    cpu, wall = time.process_time(), time.monotonic()
    assert log.read(place, 0) == (place, None, [])
    assert time.process_time() - cpu < 0.05 * (time.monotonic() - wall)
    assert 1 < time.monotonic() - wall < 10


FORK = """
def follow():
    place = store.read(None, 0)[0]
    while True:
        place = store.read(place, 0)[0]

if used:
    threading.Thread(target=follow, daemon=True).start()
    for _ in range(4):
        threading.Thread(target=lambda: [store.add(b"x", None, True) for _ in range(100)]).start()
    time.sleep(0.05)
place = store.newest()
children = []
for _ in range(20):
    child = os.fork()
    if not child:
        assert store.read(None, 5)[0] >= place
        say(*[store.add(b"child", None, True) for _ in range(5)])
        os._exit(0)
    children.append(child)
    store.add(b"parent", None, True)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 20
"""


@pytest.mark.parametrize("used", [False, True], ids=["after import", "while it is used"])
def test_forks(log, used):
    """A child has connections of its own, and closes none of its parent's."""
    confirmed = set(map(int, said(process(log, "used = %r\n" % used + FORK))))
    entries = log.read(None, 10000)[2]
    assert len(confirmed) == 100
    assert confirmed == {number for number, block, _, _ in entries if block == b"child"}
    assert blocks(entries).count(b"parent") == 20
    assert blocks(entries).count(b"x") == 400 * used


SIGNALS = """
import random
import signal
numbers, done = [], []

def handler(*_):
    numbers.append(store.add(b"handler", None, True))
    if not done:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00001, 0.002))

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0001)
for _ in range(300):
    numbers.append(store.add(b"main", None, True))
done.append(True)
signal.setitimer(signal.ITIMER_REAL, 0)
entries = store.read(None, 10 ** 6)[2]
assert sorted(numbers) == [number for number, _, _, _ in entries]
say(sum(block == b"handler" for _, block, _, _ in entries))
"""


def test_a_signal_handler_that_adds(log):
    [count] = said(process(log, SIGNALS))
    assert int(count) > 30


STOPPED = """
from sse import Channel
stream = Channel(history=50, store=store).open().stream()
say("ready")
for chunk in stream:
    for line in chunk.decode().splitlines():
        if line.startswith(("event", "data")):
            say(line.split()[-1])
"""


def test_a_process_that_was_stopped_for_long(log):
    """Its client is told once, and then has everything."""
    log = another(log, size=100)
    run = process(log, STOPPED)
    assert run.stdout.readline() == "ready\n"
    add(log, "data: 0\n\n")
    assert run.stdout.readline() == "0\n"
    run.send_signal(signal.SIGSTOP)
    add(log, *["data: %d\n\n" % number for number in range(1, 401)])
    run.send_signal(signal.SIGCONT)
    told = []
    # Redis answers a read that waits when the first comes.
    while "reset" not in told:
        told.append(run.stdout.readline().strip())
    assert told in (["reset"], ["1", "reset"])
    assert run.stdout.readline() == "data:\n"
    for number in range(351, 401):
        assert run.stdout.readline() == "%d\n" % number
    add(log, "data: on\n\n")
    assert run.stdout.readline() == "on\n"
    run.kill()
    run.communicate()
