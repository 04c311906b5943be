"""The numbers of a tqdm bar, for the page of job.html."""

from job import report
from tqdm import tqdm


def run(job, rows):
    bar = tqdm(rows)
    bar.display = lambda *_, **__: report(
        job, n=bar.n, total=bar.total, elapsed=bar.format_dict["elapsed"])
    for row in bar:
        pass        # the work
    report(job, n=bar.n, total=bar.total, elapsed=bar.format_dict["elapsed"], end="done")
