"""What the tests of both stores use: entries, and processes that have a store of their own."""

import contextlib
import os
import sqlite3
import subprocess
import sys

from loopback import environment, EXAMPLES, python

sys.path.insert(0, os.path.abspath(EXAMPLES))


def add(store, *texts, topics=None, keep=True):
    return [store.add(text.encode(), topics, keep) for text in texts]


def blocks(entries):
    return [entry[1] for entry in entries]


def numbers(entries):
    return [entry[0] for entry in entries]


@contextlib.contextmanager
def database(path):
    """The file as another program has it open."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        yield other


def fill(store, count, text="x", keep=True):
    """Add so many as another program does, which is quicker: all at once."""
    if hasattr(store, "path"):
        with database(store.path) as other:
            other.execute("BEGIN")
            other.executemany("INSERT INTO entries (block, keep) VALUES (?, ?)",
                              [(text, keep)] * count)
            other.execute("COMMIT")
    else:
        with store.client() as client, client.pipeline() as pipeline:
            for _ in range(count):
                pipeline.xadd(store.key, {"block": text, "keep": int(keep)})
            pipeline.execute()


def where(store):
    return (store.path,) if hasattr(store, "path") else (store.url, store.key)


def process(store, code, before="", **options):
    """A process of its own, with `store`, which is on the same log, and `say` in its code."""
    kind = type(store)
    begin = ("import os, sys, threading, time\nfrom %s import *\nstore = %s(*%r, size=%d)\n"
             "def say(*words): os.write(1, (' '.join(map(str, words)) + '\\n').encode())\n" % (
                 kind.__module__, kind.__name__, where(store), store.size))
    return subprocess.Popen(
        python("-c", before + begin + code), env=environment(PYTHONPATH=EXAMPLES),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)


def said(running):
    """What such a process prints until it ends well."""
    output = running.communicate(timeout=60)[0]
    assert running.returncode == 0
    return output.split()
