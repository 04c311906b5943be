"""A job that outlives its page, and that several pages watch: job_flask.py, job_fastapi.py.

The newest state of each job is a row, which all processes can read. A job reports at least every
half minute: one that did not for a minute has ended with its process.
"""

import contextlib
import json
import logging
import os
import sqlite3
import time
import uuid

from sse import Channel

channel = Channel()     # no history: who reconnects wants the newest state, and not each one
PATH = os.path.abspath("jobs.db")       # in place of your database
ROWS = 400
SILENT = 60


@contextlib.contextmanager
def database():
    with contextlib.closing(sqlite3.connect(PATH)) as connection, connection:
        yield connection


with database() as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS jobs (name PRIMARY KEY, time, state)")


def report(job, **state):
    listeners = channel.to("job:" + job)
    state["watching"] = len(listeners.streams)
    with database() as connection:      # first; then the event, for the pages that are open
        connection.execute("REPLACE INTO jobs VALUES (?, ?, ?)",
                           (job, time.time(), json.dumps(state)))
    try:
        listeners.add_json("state", state)
    except Exception as error:      # the server stops, or a store is away: the job goes on
        logging.warning("not announced: job %s: %s", job, error)


def newest(job):
    """The newest state of a job; None if there is no such job."""
    with database() as connection:
        row = connection.execute("SELECT time, state FROM jobs WHERE name = ?", (job,)).fetchone()
    if row is None:
        return None
    state = json.loads(row[1])
    if "end" not in state and row[0] < time.time() - SILENT:
        state.update(end="failed", error="its server was stopped")
    return state


def new():
    job = uuid.uuid4().hex      # whoever has this name may watch
    report(job, n=0, total=ROWS, elapsed=0)
    return job


def run_with_tqdm(job, rows):
    """The numbers of a tqdm bar reach the page."""
    from tqdm import tqdm
    bar = tqdm(rows)
    bar.display = lambda *_, **__: report(
        job, n=bar.n, total=bar.total, elapsed=bar.format_dict["elapsed"])
    for row in bar:
        pass        # the work
    report(job, n=bar.n, total=bar.total, elapsed=bar.format_dict["elapsed"], end="done")


def run(job, fails):
    start = time.time()
    n, end, error = 0, "done", None
    try:
        for n in range(1, ROWS + 1):
            time.sleep(0.05)
            if fails and n == ROWS // 2:
                raise ValueError("row %d has no price" % n)
            report(job, n=n, total=ROWS, elapsed=time.time() - start)
    except Exception as exception:
        end, error = "failed", str(exception)
    report(job, n=n, total=ROWS, elapsed=time.time() - start, end=end, error=error)
