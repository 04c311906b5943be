"""`Presence` for all processes: who is connected anywhere.

    SQLitePresence("presence.db", channel, "user:%d", changed)             # of one machine
    RedisPresence(redis.Redis(), "presence", channel, "user:%d", changed)  # of many

Each process notes every two seconds who has a stream in it. A user whom no process has noted for
`grace` seconds has left, and one of them tells it.
"""

import contextlib
import os
import sqlite3
import time

from presence import Presence


class SharedPresence(Presence):

    noted = resumed = float("-inf")

    def settled(self):
        """Whether all processes could note theirs: for `grace` seconds they may have been unable.

        Right after the file was locked, or Redis was away, nobody has left.
        """
        now = time.monotonic()
        if now > self.noted + self.grace - self.every:
            self.resumed = now
        self.noted = now
        return now > self.resumed + self.grace


class SQLitePresence(SharedPresence):

    def __init__(self, path, *args, **options):
        super().__init__(*args, **options)
        self.path = os.path.abspath(path)
        with self.database() as database:
            database.execute("CREATE TABLE IF NOT EXISTS seen (user PRIMARY KEY, at, told)")

    @contextlib.contextmanager
    def database(self):
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")

    def record(self, users):
        with self.database() as database:
            now = time.time()       # when nobody holds the file any more
            left = "at < %r" % (now - self.grace) if self.settled() else "0"
            database.executemany("INSERT OR IGNORE INTO seen VALUES (?, 0, 0)",
                                 [(user,) for user in users])
            database.executemany("UPDATE seen SET at = ? WHERE user = ?",
                                 [(now, user) for user in users])
        # Told after the first commit, so that who is told finds it so in `here`, and before the
        # second: if `changed` raises, it is called again, and nobody tells the opposite meanwhile.
        with self.database() as database:
            for here, which in (True, "told = 0"), (False, left):
                for user, in database.execute("SELECT user FROM seen WHERE " + which).fetchall():
                    self.changed(user, here)
            database.execute("DELETE FROM seen WHERE " + left)
            database.execute("UPDATE seen SET told = 1 WHERE told = 0")

    def here(self):
        with contextlib.closing(sqlite3.connect(self.path)) as database:
            return [user for user, in database.execute(
                "SELECT user FROM seen WHERE at >= ? ORDER BY user", (time.time() - self.grace,))]


class RedisPresence(SharedPresence):
    """Users are ints. By the clock of Redis, so that those of the machines may differ.

    If `changed` raises, it is not called again.
    """

    def __init__(self, redis, key, *args, **options):
        super().__init__(*args, **options)
        self.redis, self.key = redis, key

    def oldest(self):
        seconds, micros = self.redis.time()
        return seconds + micros / 1e6 - self.grace

    def record(self, users):
        oldest = self.oldest()
        left_before = oldest if self.settled() else "-inf"
        with self.redis.pipeline() as pipeline:     # MULTI and EXEC: all at once
            for user in users:
                pipeline.zadd(self.key, {user: oldest + self.grace})
            pipeline.zrangebyscore(self.key, "-inf", left_before)
            pipeline.zremrangebyscore(self.key, "-inf", left_before)
            *new, left, _ = pipeline.execute()
        for user, came in zip(users, new):
            if came:
                self.changed(user, True)
        for user in left:
            self.changed(int(user), False)

    def here(self):
        return sorted(map(int, self.redis.zrangebyscore(self.key, self.oldest(), "+inf")))
