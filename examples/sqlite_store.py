"""A log in an SQLite file, for the channels of all processes of one machine.

    channel = Channel(history=1000, store=SQLiteStore("events.db"))

Not on a network file system: SQLite's WAL mode does not work there. For Linux, macOS and BSD.
"""

from contextlib import suppress
import fcntl
import json
import os
import sqlite3
import threading
import time
import uuid
import weakref

WAIT = 5        # seconds, at most, for a file that another program holds
ROUND = 0.05    # seconds between two looks at what other processes have added
SCHEMA = """BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, block BLOB NOT NULL, topics TEXT,
    keep INTEGER NOT NULL DEFAULT 1, at TEXT DEFAULT (strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')));
CREATE INDEX IF NOT EXISTS kept ON entries (id) WHERE keep;
CREATE INDEX IF NOT EXISTS others ON entries (id) WHERE NOT keep;
CREATE TABLE IF NOT EXISTS log (epoch TEXT NOT NULL, trimmed INTEGER NOT NULL);
CREATE TRIGGER IF NOT EXISTS trimmed AFTER DELETE ON entries WHEN OLD.keep
    BEGIN UPDATE log SET trimmed = max(trimmed, OLD.id); END;
INSERT INTO log SELECT '%s', 0 WHERE NOT EXISTS (SELECT * FROM log);
COMMIT;"""
STATE = """SELECT epoch, trimmed, (SELECT max(seq) FROM sqlite_sequence WHERE name = 'entries'),
    (SELECT at FROM entries WHERE id = ?) FROM log"""
ENTRIES = "SELECT id, block, topics, keep FROM entries WHERE "
# Of each kind at most 1,000 at a time, so that nobody waits long for the file.
TRIM = ["DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE %s LIMIT 1000)" % rows
        for rows in ("NOT keep AND id <= ?2 - ?1", "keep AND id <= min(?2, (SELECT id FROM "
                     "entries WHERE keep ORDER BY id DESC LIMIT 1 OFFSET ?1))")]
stores, forks = weakref.WeakSet(), []


class NotConfirmed(Exception):
    """What was to be added is not in the log."""


class Connection(sqlite3.Connection):
    file = shm = None       # which ones it has open


class Own(object):
    """What belongs to one process. No lock that a signal handler could find taken."""

    def __init__(self):
        self.idle, self.busy = [], set()    # connections, and calls that use others
        # The last connection, and those of files that were replaced. They stay open until there is
        # a new one: the number of a file that nobody has open may be given to another one.
        self.last, self.stale = None, []
        self.at = {}                        # when the last entry came that was read
        self.wake = threading.Lock()        # free: this process has added something
        self.wake.acquire()


def which(path):
    with suppress(FileNotFoundError):
        stat = os.stat(path)
        return stat.st_dev, stat.st_ino


def before_fork():
    """Close all: in a child, SQLite would take the parent's locks for its own."""
    forks.append(True)
    end = time.monotonic() + 1
    for store in list(stores):
        while store.own().busy and time.monotonic() < end:
            time.sleep(0.001)
        store.close_idle()


os.register_at_fork(before=before_fork, after_in_parent=forks.pop, after_in_child=forks.clear)


class SQLiteStore(object):
    """`size`: how many entries are kept at least, many times the history of any channel."""

    def __init__(self, path, size=100000):
        self.path, self.size, self.owns = os.path.realpath(path), size, {}
        if path in (":memory:", ""):
            raise ValueError("the log of several processes must be a file")
        stores.add(self)
        self.newest()           # or it cannot be made there
        self.close_idle()
        if not os.access(self.path, os.W_OK):
            raise NotConfirmed("%s: not writable" % self.path)

    def own(self):
        return self.owns.get(os.getpid()) or self.owns.setdefault(os.getpid(), Own())

    def close_idle(self):
        own = self.own()
        own.last = None
        for connections in own.idle, own.stale:
            while connections:
                connections.pop().close()

    __del__ = close_idle

    def begin(self, own):
        """Make the file. SQLite would take what one that was deleted has left for the new one's."""
        folder = os.open(os.path.dirname(self.path), os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file, last = which(self.path), own.last
            if not file or last and last.file != file and last.shm == which(self.path + "-shm"):
                for end in "-wal", "-shm":
                    with suppress(FileNotFoundError):
                        os.unlink(self.path + end)
                with suppress(OSError):         # SQLite has the better words
                    open(self.path, "a").close()
        finally:
            os.close(folder)

    def connect(self, own):
        file, last = which(self.path), own.last
        if not file or last and last.file != file:
            self.begin(own)
            file = which(self.path)
        connection = sqlite3.connect(self.path, timeout=0, isolation_level=None,
                                     check_same_thread=False, factory=Connection)
        try:
            connection.text_factory = bytes
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            if not connection.execute("SELECT * FROM sqlite_master").fetchone():
                connection.executescript(SCHEMA % uuid.uuid4().hex[:12])
            connection.file, connection.shm = file, which(self.path + "-shm")
        except BaseException:
            connection.close()
            raise
        if file == which(self.path):
            own.last = connection
            with suppress(IndexError):
                while True:
                    own.stale.pop().close()
        return connection

    def run(self, work, wait=None):
        """`work(connection)`, once nobody holds the file."""
        wait = WAIT if wait is None else wait
        own, end = self.own(), time.monotonic() + wait
        while True:
            call, connection = object(), None
            own.busy.add(call)      # before the look at `forks`
            try:
                if not forks:
                    with suppress(IndexError):
                        connection = own.idle.pop()
                    connection = connection or self.connect(own)
                    if connection.file == which(self.path):
                        result = work(connection)
                        if connection.file == which(self.path):
                            idle, connection = connection, None
                            own.idle.append(idle)
                            return result
                    own.stale.append(connection)
                    connection = None
                error = "it is replaced, again and again"
            except (sqlite3.Error, OSError) as failure:
                error = failure
                if "locked" not in str(error) and not isinstance(error, BlockingIOError):
                    raise NotConfirmed("%s: %s" % (self.path, error)) from error
            finally:
                if connection:
                    if own.last is connection:
                        own.last = None
                    connection.close()
                own.busy.discard(call)
            if time.monotonic() > end:
                raise NotConfirmed("%s: %s, after %s seconds" % (self.path, error, wait))
            time.sleep(0.002)       # not in SQLite, which would stop gevent's hub

    def add(self, block, topics, keep):
        values = block, None if topics is None else json.dumps(list(topics)), keep
        # One statement is a transaction: no signal handler can find one half done.
        number = self.run(lambda connection: connection.execute(
            "INSERT INTO entries (block, topics, keep) VALUES (?, ?, ?)", values).lastrowid)
        with suppress(RuntimeError):
            self.own().wake.release()
        if number % 100 == 0:
            with suppress(NotConfirmed):
                self.run(lambda connection: [
                    connection.execute(rows, (self.size, number)) for rows in TRIM], wait=0)
        return number

    def newest(self):
        epoch, _, number, _ = self.run(lambda connection: connection.execute(STATE, [0]).fetchone())
        return epoch.decode(), number or 0

    def read(self, place, history):
        own, end = self.own(), time.monotonic() + 2
        while True:
            found = self.run(lambda connection: self.look(connection, own, place, history))
            if found != (place, None, []) or time.monotonic() > end:
                return found
            own.wake.acquire(timeout=ROUND)

    def look(self, connection, own, place, history):
        epoch, number = place or ("", 0)
        connection.execute("BEGIN")
        now, trimmed, newest, at = connection.execute(STATE, [number]).fetchone()
        now, newest, base = now.decode(), newest or 0, None
        if epoch == now and (number > newest or at and own.at.get(number, at) != at):
            # An older copy: ids come twice. The first process that sees it draws a new epoch.
            connection.execute("COMMIT")
            connection.execute("UPDATE log SET epoch = ? WHERE epoch = ?",
                               [uuid.uuid4().hex[:12], epoch])
            return self.look(connection, own, None, history)
        if epoch == now and trimmed <= number:
            rows = connection.execute(ENTRIES + "id > ? ORDER BY id LIMIT 500", [number]).fetchall()
            newest = rows[-1][0] if len(rows) == 500 else newest
        else:
            rows = connection.execute(ENTRIES + "keep AND id > ? ORDER BY id DESC LIMIT ?",
                                      [trimmed, history + 1]).fetchall()[::-1]
            base = rows.pop(0)[0] if len(rows) > history else trimmed
        own.at = {newest: connection.execute(STATE, [newest]).fetchone()[3]}
        connection.execute("COMMIT")
        return (now, newest), base, [(number, block, topics_of(topics), keep == 1)
                                     for number, block, topics, keep in rows]


def topics_of(column):
    with suppress(ValueError, RecursionError):
        return column and json.loads(column)
    return column
