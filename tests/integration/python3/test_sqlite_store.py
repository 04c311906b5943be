"""examples/sqlite_store.py: real files, and real processes that are killed and forked."""

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from loopback import environment, EXAMPLES, python

sys.path.insert(0, os.path.abspath(EXAMPLES))
sqlite_store = pytest.importorskip("sqlite_store")      # not on Windows
NotConfirmed, SQLiteStore = sqlite_store.NotConfirmed, sqlite_store.SQLiteStore


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "events.db")


@pytest.fixture
def store(path):
    return SQLiteStore(path)


@contextlib.contextmanager
def database(path):
    """The file as another program has it open."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        yield other


def process(code, *arguments, **options):
    """A process of its own, with `store` of the first argument and `say` in its code."""
    begin = ("import os, sys, threading, time\nfrom sqlite_store import *\n"
             "def say(*words): print(*words, flush=True)\nstore = SQLiteStore(sys.argv[1])\n")
    return subprocess.Popen(
        python("-c", options.pop("before", "") + begin + code, *arguments),
        env=environment(PYTHONPATH=EXAMPLES), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, **options)


def said(running):
    """What such a process prints until it ends well."""
    output = running.communicate(timeout=60)[0]
    assert running.returncode == 0
    return output.split()


def blocks(entries):
    return [entry[1] for entry in entries]


def add(store, *texts, **options):
    return [store.add(text.encode(), options.get("topics"), options.get("keep", True))
            for text in texts]


def test_what_is_added_is_read_in_order_with_its_place(store, path):
    epoch, number = store.newest()
    assert number == 0 and epoch.isalnum() and 0 < len(epoch) <= 16
    assert store.read(None, 10) == ((epoch, 0), 0, [])
    numbers = add(store, "a") + add(store, "b", topics=["x", "\u2026"]) + add(
        store, "c", topics=[], keep=False)
    assert numbers == sorted(set(numbers)) and numbers[0] > 0
    entries = [(numbers[0], b"a", None, True), (numbers[1], b"b", ["x", "\u2026"], True),
               (numbers[2], b"c", [], False)]
    place = epoch, numbers[2]
    for each in (store, SQLiteStore(path)):
        each.read(None, 0)
        assert each.newest() == place
        assert each.read((epoch, 0), 10) == (place, None, entries)
        assert each.read((epoch, numbers[0]), 10) == (place, None, entries[1:])


@pytest.mark.parametrize("history", [0, 1, 2, 3, 100])
def test_a_start_gives_the_last_kept_entries(store, history):
    numbers = add(store, "a", "b")
    add(store, *"typing" * 20, keep=False)
    numbers += add(store, "c")
    add(store, "typing", keep=False)
    place, base, entries = store.read(None, history)
    assert place == store.newest()
    assert [number for number, _, _, _ in entries] == numbers[max(0, 3 - history):]
    assert base == ([0] + numbers)[max(0, 3 - history)]


def test_many_are_read_a_part_at_a_time(store):
    place = store.read(None, 0)[0]
    numbers = add(store, *["x"] * 1200)
    read = []
    while len(read) < 1200:
        place, base, entries = store.read(place, 0)
        assert base is None and 0 < len(entries) <= 500 and place[1] == entries[-1][0]
        read += [number for number, _, _, _ in entries]
    assert read == numbers


def test_an_add_wakes_the_read_of_its_process(store, monkeypatch):
    place = store.read(None, 0)[0]
    looked = threading.Event()

    def look(*arguments, inner=store.look):
        looked.set()
        return inner(*arguments)

    monkeypatch.setattr(sqlite_store, "ROUND", 60)
    monkeypatch.setattr(store, "look", look)
    threading.Thread(target=lambda: looked.wait() and add(store, "x")).start()
    begun = time.monotonic()
    assert blocks(store.read(place, 0)[2]) == [b"x"]
    assert time.monotonic() - begun < 30


def test_an_add_of_another_process_is_read_soon(store, path):
    other = process("for line in sys.stdin: store.add(b'x', None, True); say(time.time())", path)
    took = []
    place = store.read(None, 0)[0]
    for _ in range(5):
        other.stdin.write("\n")
        other.stdin.flush()
        place, _, entries = store.read(place, 0)
        took.append(time.time() - float(other.stdout.readline()))
        assert len(entries) == 1
    said(other)
    assert min(took) < 0.1


def test_an_idle_read_ends_and_costs_little(store):
    place = store.read(None, 0)[0]
    cpu, wall = time.process_time(), time.monotonic()
    assert store.read(place, 0) == (place, None, [])
    assert time.process_time() - cpu < 0.05 * (time.monotonic() - wall)
    assert 1 < time.monotonic() - wall < 10


def test_processes_that_are_killed_in_the_middle_of_an_add(store, path):
    """What was confirmed is there once, in the order of its numbers; the others go on."""
    random.seed(7)
    place, confirmed, read = store.read(None, 0)[0], {}, []
    for turn in range(6):
        processes = [process("while True: number = store.add(os.urandom(8).hex().encode(), None, "
                             "True); say(number)", path) for _ in range(3)]
        for each in processes:
            each.stdout.readline()
        time.sleep(random.uniform(0, 0.2))      # it is to be killed anywhere
        for each in processes:
            each.kill()
            for line in each.communicate()[0].split("\n")[:-1]:
                assert confirmed.setdefault(int(line), turn) == turn
        confirmed[add(store, "between")[0]] = turn
    while place != store.newest():
        place, base, entries = store.read(place, 0)
        assert base is None
        read += entries
    numbers = [number for number, _, _, _ in read]
    assert len(confirmed) > 100 and set(confirmed) <= set(numbers)
    assert numbers == sorted(set(numbers))
    with database(path) as other:
        assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


FORK = """
def follow():
    place = store.read(None, 0)[0]
    while True:
        place = store.read(place, 0)[0]

if "used" in sys.argv:
    threading.Thread(target=follow, daemon=True).start()
    for _ in range(4):
        threading.Thread(target=lambda: [store.add(b"x", None, True) for _ in range(200)]).start()
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
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 20
store.add(b"parent", None, True)
"""


@pytest.mark.parametrize("more", [[], ["used"]], ids=["after import", "while it is used"])
def test_forks(store, path, more):
    numbers = set(map(int, said(process(FORK, path, *more))))
    entries = store.read(None, 10000)[2]
    assert len(numbers) == 100
    assert numbers == {number for number, block, _, _ in entries if block == b"child"}
    assert len(entries) == 101 + bool(more) * 800


def test_a_child_has_locks_of_its_own(store, path):
    """With the parent's, what it adds would be lost when the last other process ends."""
    run = process("store.add(b'parent', None, True)\n"
                  "if os.fork(): os._exit(0)\n"
                  "store.add(b'one', None, True); say('ready'); sys.stdin.readline()\n"
                  "store.add(b'two', None, True); say('done')", path)
    assert run.stdout.readline() == "ready\n"
    said(process("store.add(b'other', None, True)", path))
    run.stdin.write("\n")
    run.stdin.flush()
    assert run.stdout.readline() == "done\n"
    run.communicate()
    assert blocks(store.read(None, 10)[2]) == [b"parent", b"one", b"other", b"two"]


def delete(path):
    os.unlink(path)


def delete_all(path):
    for end in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + end)


def replace(path):
    """By a copy, as a rename does it; what SQLite has beside the file stays."""
    os.rename(path + ".copy", path)


def replace_all(path):
    delete_all(path)
    replace(path)


def restore(path):
    with database(path) as other, database(path + ".copy") as copy:
        copy.backup(other)


def vacuum(path):
    with database(path) as other:
        other.execute("VACUUM")


@pytest.mark.parametrize("change, kept, after", [
    (delete, [], 0), (delete_all, [], 0),
    (replace, [b"a", b"b"], 0), (replace_all, [b"a", b"b"], 0), (restore, [b"a", b"b"], 0),
    # More than was lost: by its number alone a place would be as good as before.
    (delete, [], 5), (delete_all, [], 5),
    (replace, [b"a", b"b"], 5), (replace_all, [b"a", b"b"], 5), (restore, [b"a", b"b"], 5),
    (vacuum, None, 0), (vacuum, None, 5)])
def test_the_file_changes_while_processes_use_it(store, path, change, kept, after):
    """Who reads on is told, once; nothing that was added since is lost; the ids are new."""
    others = [SQLiteStore(path) for _ in range(3)]
    add(store, "a", "b")
    with database(path) as other, database(path + ".copy") as copy:
        other.backup(copy)
    add(others[0], "c", "d")
    epoch = store.newest()[0]
    places = [each.read(None, 10)[0] for each in others[1:]]
    change(path)
    texts = ["after %d" % number for number in range(after)]
    for text in texts:
        add(random.choice(others + [store]), text)
    new = [text.encode() for text in texts]
    for each, before in zip(others[1:], places):
        if kept is None:
            place, base, entries = each.read(before, 10)
            assert base is None and blocks(entries) == new and place[0] == epoch
        else:
            place, base, entries = each.read(before, 10)
            assert base == 0 and blocks(entries) == kept + new and place[0] != epoch
        assert place == store.newest()
        add(store, "on")
        place, base, entries = each.read(place, 10)
        assert base is None and blocks(entries) == [b"on"]
        new.append(b"on")
    with database(path) as other:
        assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_start_after_the_file_was_deleted_while_others_have_it_open(path):
    run = process("store.add(b'old', None, True); say('ready'); sys.stdin.readline()\n"
                  "for _ in range(3): store.add(b'b', None, True)\n", path)
    assert run.stdout.readline() == "ready\n"
    os.unlink(path)
    store = SQLiteStore(path)
    add(store, "a", "a")
    said(run)
    add(store, "c")
    assert blocks(store.read(None, 10)[2]) == [b"a", b"a", b"b", b"b", b"b", b"c"]


def test_an_add_into_a_file_that_is_deleted_meanwhile_is_made_again(store, path, monkeypatch):
    add(store, "a")
    which = sqlite_store.which

    def delete_after_the_look(looked):
        file = which(looked)
        if looked == path:
            monkeypatch.setattr(sqlite_store, "which", which)
            os.unlink(path)
        return file

    monkeypatch.setattr(sqlite_store, "which", delete_after_the_look)
    [number] = add(store, "b")
    assert store.read(None, 10)[2] == [(number, b"b", None, True)]


def test_deleted_again_and_again_while_processes_add(path):
    """No add is confirmed that is neither in the file nor in one that was deleted after it."""
    processes = [process("while True:\n"
                         "    try: say(store.newest()[0], store.add(b'x', None, True))\n"
                         "    except NotConfirmed: pass       # it was deleted while it was made",
                         path) for _ in range(3)]
    for each in processes:
        each.stdout.readline()
    for _ in range(5):
        time.sleep(0.1)     # they are to be anywhere
        os.unlink(path)
    time.sleep(0.3)
    for each in processes:
        assert each.poll() is None
        each.kill()
    confirmed = [line.split() for each in processes
                 for line in each.communicate()[0].split("\n")[:-1]]
    store = SQLiteStore(path)
    (epoch, _), _, entries = store.read(None, 10 ** 6)
    numbers = [int(number) for before, number in confirmed if before == epoch]
    there = {number for number, _, _, _ in entries}
    # The file may have been deleted between the two calls of a process: three at most.
    assert len(set(numbers) - there) <= 3 and len(numbers) > 10
    with database(path) as other:
        assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_trimming_leaves_many_and_counts_kept_ones_alone(path):
    store = SQLiteStore(path, size=300)
    kept = add(store, *["kept"] * 250)
    add(store, *["x" * 1000] * 1000, keep=False)
    (epoch, newest), base, entries = store.read(None, 1000)
    assert [number for number, _, _, _ in entries] == kept and base == 0
    # Who is behind has missed nothing that is kept.
    assert store.read((epoch, kept[-1]), 0)[1] is None
    size = os.path.getsize(path)
    add(store, *["x" * 1000] * 1000, keep=False)
    assert os.path.getsize(path) < 1.5 * size
    more = add(store, *["more"] * 500)
    _, base, entries = store.read(None, 1000)
    assert 300 <= len(entries) <= 450 and entries[-1][0] == more[-1]
    assert base == max(set(kept + more) - {number for number, _, _, _ in entries})
    # The one that was trimmed last is no gap, the one before it is.
    assert store.read((epoch, base), 1)[1] is None
    _, base, entries = store.read((epoch, base - 1), 1)
    assert base == more[-2] and len(entries) == 1


def test_a_trim_that_fails_does_not_fail_the_add(path):
    store = SQLiteStore(path, size=10)
    with database(path) as other:
        other.execute("CREATE TRIGGER no BEFORE DELETE ON entries "
                      "BEGIN SELECT RAISE(ABORT, 'no'); END")
    assert len(set(add(store, *["x"] * 300))) == 300


def test_what_others_deleted_is_a_gap(store, path):
    numbers = add(store, "a", "b", "c")
    place = store.read(None, 10)[0]
    with database(path) as other:
        other.execute("DELETE FROM entries WHERE id <= ?", [numbers[1]])
    assert store.read((place[0], numbers[1]), 10)[1] is None
    assert store.read((place[0], numbers[0]), 10)[1:] == (
        numbers[1], [(numbers[2], b"c", None, True)])


def test_a_full_disk(store, path):
    """An error, nothing half done; when there is room again it goes on."""
    run = process("import resource\n"
                  "size = os.path.getsize(store.path) + 100000\n"
                  "resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))\n"
                  "def fill():\n"
                  "    for number in range(1000): say(store.add(b'x' * 1000, None, True))\n"
                  "for _ in range(2):\n"
                  "    try: fill()\n"
                  "    except NotConfirmed as error: print(error, file=sys.stderr)\n"
                  "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
                  "for _ in range(10): say(store.add(b'y', None, True))\n", path,
                  stderr=subprocess.PIPE)
    output, errors = run.communicate(timeout=60)
    assert run.returncode == 0, errors
    assert errors.count(path + ": ") == 2
    numbers = list(map(int, output.split()))
    assert 10 < len(numbers) < 1000
    assert [number for number, _, _, _ in store.read(None, 10 ** 6)[2]] == numbers


@pytest.mark.parametrize("bad, why", [
    (":memory:", "must be a file"), ("", "must be a file"), ("missing/events.db", "No such file"),
    (".", "unable to open"), ("text", "not a database"), ("/proc/events.db", "unable to open"),
])
def test_a_path_on_which_it_cannot_work(tmp_path, monkeypatch, bad, why):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("Dear Sir or Madam, " * 100)
    with pytest.raises((NotConfirmed, ValueError), match=why):
        SQLiteStore(bad)


def test_a_path_is_that_of_the_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore("events.db")
    monkeypatch.chdir("/")
    add(store, "x")
    assert (tmp_path / "events.db").exists()


def test_a_file_that_another_program_holds(store, path, monkeypatch):
    add(store, "a")
    monkeypatch.setattr(sqlite_store, "WAIT", 0.3)
    with database(path) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        with pytest.raises(NotConfirmed, match="database is locked, after 0.3 seconds"):
            add(store, "refused")
        assert time.monotonic() - begun < 2
        # Reading goes on, and so do processes that begin: they create nothing.
        assert blocks(store.read(None, 10)[2]) == [b"a"]
        assert blocks(SQLiteStore(path).read(None, 10)[2]) == [b"a"]
        threading.Timer(0.1, other.execute, ["COMMIT"])
        other.execute("COMMIT")
    add(store, "b")
    assert blocks(store.read(None, 10)[2]) == [b"a", b"b"]


def test_64_first_starts(path):
    processes = []
    numbers = []
    for _ in range(4):
        processes = [process("say(store.newest()[0], store.add(b'x', None, True))", path)
                     for _ in range(16)]
        numbers += [said(each) for each in processes]
    assert len({epoch for epoch, _ in numbers}) == 1
    assert sorted(int(number) for _, number in numbers) == list(range(1, 65))


GEVENT = """
import gevent
gaps, last = [0], time.monotonic()

def tick():
    global last
    while True:
        gevent.sleep(0.01)
        now = time.monotonic()
        gaps.append(now - last)
        last = now

def follow():
    place = store.read(None, 0)[0]
    while not found:
        place, _, entries = store.read(place, 0)
        found.extend(entries)

found = []
gevent.spawn(tick)
gevent.sleep(0.1)
follower = threading.Thread(target=follow)
follower.start()
say("ready")
store.add(b"x", None, True)
follower.join()
gevent.sleep(0.1)
say(max(gaps))
"""


def test_gevents_hub_goes_on_while_another_program_holds_the_file(store, path):
    pytest.importorskip("gevent")
    add(store, "a")
    with database(path) as other:
        other.execute("BEGIN IMMEDIATE")
        run = process(GEVENT, path, before="from gevent import monkey; monkey.patch_all()\n")
        assert run.stdout.readline() == "ready\n"
        time.sleep(1)       # as long as it is held
        other.execute("COMMIT")
    [gap] = said(run)
    assert float(gap) < 0.5


SIGNALS = """
numbers = []

def handler(*_):
    numbers.append(store.add(b"handler", None, True))
    if not done:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00001, 0.002))

import random
import signal
done = []
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0001)
for _ in range(500):
    numbers.append(store.add(b"main", None, True))
done.append(True)
signal.setitimer(signal.ITIMER_REAL, 0)
place, base, entries = store.read(None, 10 ** 6)
assert sorted(numbers) == [number for number, _, _, _ in entries]
say(sum(block == b"handler" for _, block, _, _ in entries))
"""


def test_a_signal_handler_that_adds(path):
    [count] = said(process(SIGNALS, path))
    assert int(count) > 50


def test_two_versions_of_a_deploy(store, path):
    """The later one has a column more."""
    add(store, "a")
    place = store.read(None, 10)[0]
    with database(path) as other:
        other.execute("ALTER TABLE entries ADD COLUMN more TEXT")
    add(store, "b")
    assert blocks(store.read(place, 10)[2]) == [b"b"]
    assert blocks(SQLiteStore(path).read(None, 10)[2]) == [b"a", b"b"]


@pytest.mark.parametrize("column, value, given", [
    ("block", "text \u2026", (b"text \xe2\x80\xa6", None, True)), ("block", 7, (7, None, True)),
    ("topics", "no JSON", (b"x", b"no JSON", True)), ("topics", 7, (b"x", 7, True)),
    ("topics", "[" * 100000, (b"x", b"[" * 100000, True)),
    ("topics", b"\xff", (b"x", b"\xff", True)),
    ("topics", json.dumps(["a"]), (b"x", ["a"], True)), ("keep", 0, (b"x", None, False)),
])
def test_what_other_programs_added_is_given_as_it_is(store, path, column, value, given):
    place = store.read(None, 0)[0]
    with database(path) as other:
        other.execute("INSERT INTO entries (%s) VALUES (%s)" % (
            ", ".join({"block": 0, column: 0}), "?, ?" if column != "block" else "?"),
            ["x", value] if column != "block" else [value])
    add(store, "after")
    _, base, entries = store.read(place, 0)
    assert base is None and entries[0][1:] == given and entries[1][1] == b"after"


def test_nothing_is_left_open(path):
    store = SQLiteStore(path)
    assert os.listdir(os.path.dirname(path)) == ["events.db"]
    add(store, "x")
    del store
    assert os.listdir(os.path.dirname(path)) == ["events.db"]


STOPPED = """
from sse import Channel
channel = Channel(history=50, store=store)
stream = channel.open().stream()
say("ready")
for chunk in stream:
    for line in chunk.decode().splitlines():
        if line.startswith(("event", "data")):
            say(line.split()[-1])
"""


def test_a_process_that_was_stopped_for_long(path):
    """Its client is told once, and then has everything."""
    store = SQLiteStore(path, size=300)
    run = process("store = SQLiteStore(sys.argv[1], size=300)" + STOPPED, path)
    assert run.stdout.readline() == "ready\n"
    add(store, "data: 0\n\n")
    assert run.stdout.readline() == "0\n"
    run.send_signal(signal.SIGSTOP)
    add(store, *["data: %d\n\n" % number for number in range(1, 1001)])
    run.send_signal(signal.SIGCONT)
    told = [run.stdout.readline().strip() for _ in range(52)]
    assert told == ["reset", "data:"] + [str(number) for number in range(951, 1001)]
    add(store, "data: on\n\n")
    assert run.stdout.readline() == "on\n"
    run.kill()
    run.communicate()
