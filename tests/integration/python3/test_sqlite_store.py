"""examples/sqlite_store.py: real files, and real processes that are killed."""

import contextlib
import json
import os
import random
import subprocess
import threading
import time

import pytest
from loopback import environment, EXAMPLES, python, wait_for
from stores import add, blocks, database, fill, numbers, process, said

sqlite_store = pytest.importorskip("sqlite_store")      # not on Windows
NotConfirmed, SQLiteStore = sqlite_store.NotConfirmed, sqlite_store.SQLiteStore


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "events.db")


@pytest.fixture
def store(path):
    return SQLiteStore(path)


def is_whole(path):
    with database(path) as other:
        return other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


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


def test_an_add_of_another_process_is_read_soon(store):
    other = process(
        store, "for line in sys.stdin: store.add(b'x', None, True); say(time.time())")
    took = []
    place = store.read(None, 0)[0]
    for _ in range(3):
        other.stdin.write("\n")
        other.stdin.flush()
        place, _, entries = store.read(place, 0)
        took.append(time.time() - float(other.stdout.readline()))
        assert len(entries) == 1
    said(other)
    assert min(took) < 0.1


def test_processes_that_are_killed_in_the_middle_of_an_add(store, path):
    """What was confirmed is there once, in the order of its numbers; the others go on."""
    random.seed(7)
    place, confirmed, read = store.read(None, 0)[0], {}, []
    for turn in range(3):
        processes = [process(store, "while True: say(store.add(b'x', None, True))")
                     for _ in range(3)]
        lines = [each.stdout.readline() for each in processes for _ in range(10)]
        time.sleep(random.uniform(0, 0.2))      # it is to be killed anywhere
        for each in processes:
            with each:
                each.kill()
                # Not communicate(), which leaves out what readline() has buffered.
                lines += each.stdout.read().split("\n")[:-1]
        for line in lines:
            assert confirmed.setdefault(int(line), turn) == turn
        confirmed[add(store, "between")[0]] = turn
    while place != store.newest():
        place, base, entries = store.read(place, 0)
        assert base is None
        read += numbers(entries)
    assert set(confirmed) <= set(read)
    assert read == sorted(set(read)) and is_whole(path)


def test_a_child_has_locks_of_its_own(store):
    """With the parent's, what it adds would be lost when the last other process ends."""
    run = process(store, "store.add(b'parent', None, True)\n"
                         "if os.fork(): os._exit(0)\n"
                         "store.add(b'one', None, True); say('ready'); sys.stdin.readline()\n"
                         "store.add(b'two', None, True); say('done')")
    assert run.stdout.readline() == "ready\n"
    said(process(store, "store.add(b'other', None, True)"))
    assert run.communicate("\n", timeout=60)[0] == "done\n"
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


# Five are more than was lost: by its number alone a place would be as good as before.
@pytest.mark.parametrize("after", [0, 5])
@pytest.mark.parametrize("change, kept", [
    (delete, []), (delete_all, []), (replace, [b"a", b"b"]), (replace_all, [b"a", b"b"]),
    (restore, [b"a", b"b"]), (vacuum, None)])
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
    new = [b"after %d" % number for number in range(after)]
    for block in new:
        random.choice(others + [store]).add(block, None, True)
    for each, before in zip(others[1:], places):
        place, base, entries = each.read(before, 10)
        if kept is None:
            assert base is None and blocks(entries) == new and place[0] == epoch
        else:
            assert base == 0 and blocks(entries) == kept + new and place[0] != epoch
        assert place == store.newest()
        add(store, "on")
        place, base, entries = each.read(place, 10)
        assert base is None and blocks(entries) == [b"on"]
        new.append(b"on")
    assert is_whole(path)


def test_a_start_after_the_file_was_deleted_while_another_process_adds(path):
    """Its lock is in a file beside it, which SQLite would take for that of the new one."""
    old = SQLiteStore(path)
    run = process(old, "store.add(b'old', None, True)\n"
                       "store.own().idle[0].execute('BEGIN IMMEDIATE')\n"
                       "say('ready'); sys.stdin.readline()\n"
                       "for _ in range(3): store.add(b'b', None, True)")
    assert run.stdout.readline() == "ready\n"
    os.unlink(path)
    store = SQLiteStore(path)
    add(store, "a", "a")
    run.communicate("\n", timeout=60)
    add(store, "c")
    assert blocks(store.read(None, 10)[2]) == [b"a", b"a", b"b", b"b", b"b", b"c"]


@pytest.mark.parametrize("module, held", [
    # Before it locks the folder; when it has; and when it has found no table.
    ("fcntl", "flock"), ("os", "unlink"), ("uuid", "uuid4")])
def test_two_make_the_file_at_once(path, monkeypatch, module, held):
    """One is held in this call, until the other has made it, and added, or has to wait."""
    there, go_on = threading.Event(), threading.Event()

    def flock(*arguments, inner=sqlite_store.fcntl.flock):
        try:
            inner(*arguments)
        except BlockingIOError:
            go_on.set()
            raise

    monkeypatch.setattr(sqlite_store.fcntl, "flock", flock)
    module = getattr(sqlite_store, module)

    def hold(*arguments, inner=getattr(module, held)):
        if threading.current_thread() is thread and not there.is_set():
            there.set()
            assert go_on.wait(30)
        return inner(*arguments)

    monkeypatch.setattr(module, held, hold)
    stores = []
    thread = threading.Thread(target=lambda: stores.append(SQLiteStore(path)))
    thread.start()
    assert there.wait(10)
    stores.append(SQLiteStore(path))
    add(stores[-1], "x")
    go_on.set()
    thread.join()
    for store in stores:
        add(store, "y")
    assert len({each.newest() for each in stores}) == 1
    assert blocks(SQLiteStore(path).read(None, 10)[2]) == [b"x", b"y", b"y"]
    with database(path) as other:
        assert other.execute("SELECT count(*) FROM log").fetchone() == (1,)
    assert is_whole(path)


FIRST = """
import os, sys, time
from sqlite_store import SQLiteStore
begin = time.time() + 0.1
for _ in range(15):
    if not os.fork():
        break
while time.time() < begin:
    pass
store = SQLiteStore(sys.argv[1])
os.write(1, b"%s %d\\n" % (store.newest()[0].encode(), store.add(b"x", None, True)))
"""


def test_16_processes_make_the_file_at_once(tmp_path):
    for turn in range(2):
        output = subprocess.run(python("-c", FIRST, str(tmp_path / str(turn))), timeout=60,
                                check=True, stdout=subprocess.PIPE,
                                env=environment(PYTHONPATH=EXAMPLES)).stdout
        first = [line.split() for line in output.splitlines()]
        assert len({epoch for epoch, _ in first}) == 1
        assert sorted(int(number) for _, number in first) == list(range(1, 17))


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


def test_deleted_again_and_again_while_processes_add(store, path):
    """No add is confirmed that is neither in the file nor in one that was deleted after it."""
    processes = [process(store, "while True:\n"
                         "    try: say(store.newest()[0], store.add(b'x', None, True))\n"
                         "    except NotConfirmed: pass       # it was deleted while it was made")
                 for _ in range(3)]
    for each in processes:
        each.stdout.readline()
    for _ in range(5):
        time.sleep(0.1)     # they are to be anywhere
        wait_for(lambda: os.path.exists(path))
        os.unlink(path)
    epoch = wait_for(lambda: os.path.exists(path) and store.newest()[0])
    for each in processes:
        line = None
        while epoch not in (line or ""):
            line = each.stdout.readline()
            assert line
    confirmed = []
    for each in processes:
        with each:
            each.kill()
            confirmed += [line.split() for line in each.stdout.read().split("\n")[:-1]]
    there = set(numbers(store.read(None, 10 ** 6)[2]))
    # The file may have been deleted between the two calls of a process: three at most.
    assert len({int(number) for before, number in confirmed if before == epoch} - there) <= 3
    assert is_whole(path)


def test_trimming_leaves_many_and_counts_kept_ones_alone(path):
    store = SQLiteStore(path, size=300)

    def add_many(count, text, keep):
        """The last as the store does, which trims when it adds each hundredth."""
        fill(store, count - 1, text, keep)
        add(store, text, keep=keep)

    def size():
        with database(path) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return os.path.getsize(path)

    add_many(200, "kept", keep=True)
    add_many(1000, "x" * 1000, keep=False)
    (epoch, _), base, entries = store.read(None, 1000)
    assert numbers(entries) == list(range(1, 201)) and base == 0
    # Who is behind has missed nothing that is kept.
    assert store.read((epoch, 200), 0)[1] is None
    before = size()
    add_many(1000, "x" * 1000, keep=False)
    assert size() < 1.5 * before
    add_many(500, "more", keep=True)
    _, base, entries = store.read(None, 1000)
    assert numbers(entries) == list(range(2401, 2701)) and base == 2400
    # The one that was trimmed last is no gap, the one before it is.
    assert store.read((epoch, base), 1)[1] is None
    assert store.read((epoch, base - 1), 1)[1:] == (2699, [(2700, b"more", None, True)])


def test_a_trim_that_fails_does_not_fail_the_add(path):
    store = SQLiteStore(path, size=10)
    with database(path) as other:
        other.execute("CREATE TRIGGER no BEFORE DELETE ON entries "
                      "BEGIN SELECT RAISE(ABORT, 'no'); END")
    fill(store, 99)
    assert add(store, "x", "x") == [100, 101]


def test_what_others_deleted_is_a_gap(store, path):
    one, two, three = add(store, "a", "b", "c")
    epoch = store.newest()[0]
    with database(path) as other:
        other.execute("DELETE FROM entries WHERE id <= ?", [two])
    assert store.read((epoch, two), 10)[1] is None
    assert store.read((epoch, one), 10)[1:] == (two, [(three, b"c", None, True)])


def test_a_full_disk(store, path):
    """An error, nothing half done; when there is room again it goes on."""
    run = process(store, "import resource\n"
                  "size = os.path.getsize(store.path) + 100000\n"
                  "resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))\n"
                  "def fill():\n"
                  "    for number in range(1000): say(store.add(b'x' * 1000, None, True))\n"
                  "for _ in range(2):\n"
                  "    try: fill()\n"
                  "    except NotConfirmed as error: print(error, file=sys.stderr)\n"
                  "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
                  "for _ in range(10): say(store.add(b'y', None, True))\n",
                  stderr=subprocess.PIPE)
    output, errors = run.communicate(timeout=60)
    assert run.returncode == 0, errors
    assert errors.count(path + ": ") == 2
    confirmed = list(map(int, output.split()))
    assert 10 < len(confirmed) < 1000
    assert numbers(store.read(None, 10 ** 6)[2]) == confirmed


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
        for each in store, SQLiteStore(path):
            assert blocks(each.read(None, 10)[2]) == [b"a"]
        other.execute("COMMIT")
    add(store, "b")
    assert blocks(store.read(None, 10)[2]) == [b"a", b"b"]


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
        run = process(store, GEVENT, before="from gevent import monkey; monkey.patch_all()\n")
        assert run.stdout.readline() == "ready\n"
        time.sleep(1)       # as long as it is held
        other.execute("COMMIT")
    [gap] = said(run)
    assert float(gap) < 0.5


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
