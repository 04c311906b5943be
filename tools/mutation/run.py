"""What the tox env `mutation` runs: does a test fail for each small change of sse.py?

cosmic-ray changes a copy of sse.py, one place at a time, and the core tests run against each.
Required are 95 of 100 changes found, and for each of the others an entry in equivalent.json
that says why nobody can see it. With a path to a Python 2.7 that has what the tests need, what is
not found is looked for there too. It takes half an hour.
"""

import collections
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from naming import change

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
REQUIRED = 95

# Those that take long come last; what stands nowhere here comes first, and tests/python3 too.
SLOW = ["test_stream.py", "test_bound.py", "test_threads.py", "test_properties.py",
        "test_machine.py"]
SECONDS = 300       # after which a run hangs

CONFIG = """
[cosmic-ray]
module-path = "sse.py"
timeout = 900.0
excluded-modules = []
test-command = "%s %s --test %s"

[cosmic-ray.distributor]
name = "local"

# Of the other operators, the two nearest: those that texts do not have fail at once, and
# would only make the figure look better.
[cosmic-ray.filters.operators-filter]
exclude-operators = [
    "core/ReplaceBinaryOperator_Add_(?!Sub$|Mul$).*",
    "core/ReplaceBinaryOperator_Mod_(?!Add$|Mul$).*",
    "core/ReplaceBinaryOperator_(Sub|Mul|Pow|FloorDiv)_(?!Add$|Sub$|Mul$).*",
    "core/ReplaceBinaryOperator_(Bit).*_(?!BitOr$|BitAnd$).*",
]
"""


def groups(python):
    """The files of tests in the order in which they run, as two lists."""
    names = [os.path.basename(path) for path in glob.glob(os.path.join("tests", "test_*.py"))]
    quick = sorted(set(names) - set(SLOW))
    if python == sys.executable and os.path.isdir(os.path.join("tests", "python3")):
        quick.append("python3")
    return quick, SLOW


def test(pythons, output=subprocess.DEVNULL):
    """Whether the tests pass, for the copy in the working directory."""
    for python in pythons:
        for names in groups(python):
            command = [python, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
            try:
                code = subprocess.call(command + [os.path.join("tests", name) for name in names],
                                       stdout=output, stderr=output, timeout=SECONDS)
            except subprocess.TimeoutExpired:
                code = 1
            if code:
                return False
    return True


def prepare(folder, pythons):
    """A copy of the project with a session of cosmic-ray."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(
        ".*", "__pycache__", "node_modules", "build", "dist", "*.egg-info"))
    with open(os.path.join(folder, "cosmic-ray.toml"), "w", encoding="utf-8") as file:
        file.write(CONFIG % (sys.executable, os.path.abspath(__file__), " ".join(pythons)))
    subprocess.run(["cosmic-ray", "init", "cosmic-ray.toml", "session.sqlite"],
                   cwd=folder, check=True)
    subprocess.run(["cr-filter-operators", "session.sqlite", "cosmic-ray.toml"],
                   cwd=folder, check=True)


def work(folder, part, parts):
    """Every so many-th of the changes: their number, and those that no test found."""
    # Here, as --test starts quicker without.
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator
    from cosmic_ray.work_db import WorkDB, use_db
    from cosmic_ray.work_item import WorkerOutcome, WorkResult

    session = os.path.join(folder, "session.sqlite")
    with use_db(session, WorkDB.Mode.open) as db:
        for number, item in enumerate(list(db.pending_work_items)):
            if number % parts != part:
                db.set_result(item.job_id, WorkResult(worker_outcome=WorkerOutcome.SKIPPED))
    subprocess.run(["cosmic-ray", "exec", "cosmic-ray.toml", "session.sqlite"],
                   cwd=folder, check=True)
    with use_db(session, WorkDB.Mode.open) as db:
        results = {job: result for job, result in db.results
                   if result.worker_outcome != WorkerOutcome.SKIPPED}
        mutations = [item.mutations[0] for item in db.work_items
                     if item.job_id in results and not results[item.job_id].is_killed]
    with open(os.path.join(folder, "sse.py"), encoding="utf-8") as file:
        source = file.read()
    return len(results), [
        change(source, mutate_code(
            source, get_operator(mutation.operator_name)(**mutation.operator_args),
            mutation.occurrence))
        for mutation in mutations]


def main(pythons):
    with open(os.path.join(HERE, "equivalent.json"), encoding="utf-8") as file:
        known = json.load(file)
    reasons = {(entry["in"], entry["was"], entry["is"]): entry["why"] for entry in known}
    parts = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as temporary:
        folders = [os.path.join(temporary, str(part)) for part in range(parts)]
        for folder in folders:
            prepare(folder, pythons)
        os.chdir(folders[0])
        if not test(pythons, output=None):
            sys.exit("the tests fail without any change")
        with ThreadPoolExecutor(parts) as pool:
            done = list(pool.map(work, folders, range(parts), [parts] * parts))
        os.chdir(HERE)

    total = sum(number for number, _ in done)
    survivors = collections.Counter(name for _, names in done for name in names)
    unexplained = 0
    for name, count in sorted(survivors.items()):
        # Of two places with one name, a reason is for the first only.
        explained = name in reasons and count == 1
        unexplained += not explained
        print("%s:\n- %s\n+ %s\n  %s" % (
            name + (reasons[name] if explained else "NOT FOUND BY ANY TEST",)))
    for name in sorted(set(reasons) - set(survivors)):
        print("no longer there, or found: %s: %s" % name[:2])
    found = total - sum(survivors.values())
    percent = 100.0 * found / total
    print("%d of %d changes found: %.1f %%; %d of the others not explained"
          % (found, total, percent, unexplained))
    return 1 if percent < REQUIRED or unexplained else 0


if __name__ == "__main__":
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.environ.pop("PYTHONPATH", None)
    if sys.argv[1:2] == ["--test"]:
        sys.exit(0 if test(sys.argv[2:]) else 1)
    sys.exit(main([sys.executable] + sys.argv[1:]))
