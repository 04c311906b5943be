"""In place of your database: users, their rooms, and their sessions, in an SQLite file.

    python accounts.py      # makes the users ann and bob, and prints their passwords

A session is a row here, and a cookie has its token. A signed cookie that names the user would be
good for whoever kept a copy of it, logged out or not.
"""

import collections
import contextlib
import hashlib
import hmac
import os
import secrets
import sqlite3
import time

PATH = os.path.abspath(os.environ.get("ACCOUNTS", "accounts.db"))
DAYS = 30       # a session is good for

User = collections.namedtuple("User", "id name admin")


@contextlib.contextmanager
def database():
    with contextlib.closing(sqlite3.connect(PATH)) as connection, connection:
        yield connection


with database() as connection:
    connection.executescript("""
        CREATE TABLE IF NOT EXISTS users (
            id INTEGER PRIMARY KEY, name UNIQUE, admin, salt, password);
        CREATE TABLE IF NOT EXISTS members (room, user, PRIMARY KEY (room, user));
        CREATE TABLE IF NOT EXISTS sessions (token PRIMARY KEY, user, time);
    """)


def scrambled(password, salt):
    return hashlib.scrypt(password.encode(), salt=salt, n=2 ** 14, r=8, p=1)


def add_user(name, password, admin, rooms):
    salt = os.urandom(16)
    with database() as connection:
        user = connection.execute(
            "INSERT INTO users (name, admin, salt, password) VALUES (?, ?, ?, ?)",
            (name, admin, salt, scrambled(password, salt))).lastrowid
    for room in rooms:
        join(user, room)


def log_in(name, password):
    """The token of a new session; None if this is not the user's password."""
    with database() as connection:
        user, salt, right = connection.execute(
            "SELECT id, salt, password FROM users WHERE name = ?", (name,)
        ).fetchone() or (None, b"", b"")
        if not hmac.compare_digest(scrambled(password, salt), right):
            return None
        token = secrets.token_urlsafe()
        connection.execute("DELETE FROM sessions WHERE time < ?", (time.time() - DAYS * 86400,))
        connection.execute("INSERT INTO sessions VALUES (?, ?, ?)", (token, user, time.time()))
        return token


def log_out(token):
    with database() as connection:
        connection.execute("DELETE FROM sessions WHERE token = ?", (token,))


def log_out_everywhere(user):
    with database() as connection:
        connection.execute("DELETE FROM sessions WHERE user = ?", (user,))


def user_of(token):
    """The `User` whose session it is; None if there is none, or it has ended."""
    with database() as connection:
        row = connection.execute(
            "SELECT users.id, name, admin FROM sessions JOIN users ON users.id = user"
            " WHERE token = ? AND time > ?", (token, time.time() - DAYS * 86400)).fetchone()
        return row and User(*row)


def name_of(user):
    """The user's name, None if there is no such user."""
    with database() as connection:
        row = connection.execute("SELECT name FROM users WHERE id = ?", (user,)).fetchone()
        return row and row[0]


def join(user, room):
    with database() as connection:
        connection.execute("INSERT OR IGNORE INTO members VALUES (?, ?)", (room, user))


def leave(user, room):
    with database() as connection:
        connection.execute("DELETE FROM members WHERE room = ? AND user = ?", (room, user))


def rooms_of(user):
    with database() as connection:
        return [room for room, in connection.execute(
            "SELECT room FROM members WHERE user = ? ORDER BY room", (user,))]


def members_of(room):
    with database() as connection:
        return [user for user, in connection.execute(
            "SELECT user FROM members WHERE room = ? ORDER BY user", (room,))]


if __name__ == "__main__":
    for name, admin, rooms in ("ann", True, [1, 2]), ("bob", False, [1]):
        password = secrets.token_urlsafe(6)
        add_user(name, password, admin, rooms)
        print(name, password)
