"""A job that outlives its page, and that several pages watch: job_flask.py, job_fastapi.py."""

import time
import uuid

from sse import Channel

channel = Channel()     # no history: who reconnects wants the newest state, and not each one
jobs = {}               # the newest state of each job, in place of a database
ROWS = 400


def report(job, **state):
    listeners = channel.to("job:" + job)
    state["watching"] = len(listeners.streams)
    jobs[job] = state       # first; then the event, for the pages that are open
    listeners.add_json("state", state)


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
