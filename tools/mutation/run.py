"""What the tox env `mutation` runs: does a test fail for each small change of sse.py?

    run.py [--in Channel._run ...] [PYTHON ...]

The changes are cosmic-ray's, one place at a time; with `--in` those of some functions only, and
with `--in ""` those of none. A change of a function is tried in a fork of a process that has
collected the tests: it runs those that came by the line until one fails or hangs, first those
that found others. Other changes, and what no test found so, are tried in a new process, and with
each PYTHON that is given, as Python 2.7. It takes 20 minutes on two processors of which little is
free, and some 5 where all of both is.

Required are 95 of 100 changes found, and for each of the others an entry in equivalent.json
that says why nobody can see it.
"""

import argparse
import collections
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

import warm
from naming import change

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
REQUIRED = 95

# They test no code, or only what stands in other files.
LEFT_OUT = ["integration", "test_docs*.py", "test_surface.py", "test_spec_decoder.py"]
# In a new process these run last, one after the other.
SLOW = ["test_data.py", "test_object.py", "test_stream.py", "test_threads.py", "test_storm.py",
        "test_interrupted.py", "test_properties.py", "test_machine.py"]
SECONDS = 300       # after which a run in a new process hangs

# Of the other operators, the two nearest: those that texts do not have fail at once, and
# would only make the figure look better.
EXCLUDED = re.compile("core/ReplaceBinaryOperator_(?:%s)" % "|".join([
    "Add_(?!Sub$|Mul$).*", "Mod_(?!Add$|Mul$).*", "(Sub|Mul|Pow|FloorDiv)_(?!Add$|Sub$|Mul$).*",
    "(Bit).*_(?!BitOr$|BitAnd$).*"]))

Mutant = collections.namedtuple("Mutant", "line operator occurrence")


def mutants(source):
    """All changes of `source`, in the order of its lines."""
    nodes = list(ast_nodes(get_ast(source)))
    found = []
    for name in operator_names():
        operator = get_operator(name)
        if EXCLUDED.match(name) or operator.arguments():
            continue
        lines = [start[0] for node in nodes for start, _ in operator().mutation_positions(node)]
        found += [Mutant(line, name, number) for number, line in enumerate(lines)]
    return sorted(found)


def changed(source, mutant):
    return mutate_code(source, get_operator(mutant.operator)(), mutant.occurrence)


def copy_to(folder):
    """Copy what the tests need, and work there."""
    shutil.copytree(os.path.join(ROOT, "tests"), os.path.join(folder, "tests"),
                    ignore=shutil.ignore_patterns("__pycache__", *LEFT_OUT))
    for name in "sse.py", "tox.ini":
        shutil.copy(os.path.join(ROOT, name), folder)


def passes(folder, python):
    """Whether the tests pass in a new process."""
    names = os.listdir(os.path.join(folder, "tests"))
    for late in [False] + SLOW:
        options = ["tests"] + ["--ignore=tests/" + name for name in SLOW]
        if late:
            options = ["tests/" + late]
        command = [python, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"] + options
        try:
            code = subprocess.call(command, cwd=folder, timeout=SECONDS,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return False
        if code and not (late and late not in names):
            return False
    return True


def in_new_processes(source, todo, pythons, workers):
    """Those of `todo` that no test finds in a new process of any of `pythons`."""
    def try_some(part):
        with tempfile.TemporaryDirectory() as folder:
            copy_to(folder)
            survivors = []
            for mutant in todo[part::workers]:
                with open(os.path.join(folder, "sse.py"), "w", encoding="utf-8") as file:
                    file.write(changed(source, mutant))
                if all(passes(folder, python) for python in pythons):
                    survivors.append(mutant)
            return survivors

    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(try_some, range(workers)), [])


def main(functions, pythons, workers):
    with open(os.path.join(ROOT, "sse.py"), encoding="utf-8") as file:
        source = file.read()
    with open(os.path.join(HERE, "equivalent.json"), encoding="utf-8") as file:
        known = json.load(file)
    reasons = {(entry["in"], entry["was"], entry["is"]): entry["why"] for entry in known}

    chosen = mutants(source)
    places = warm.places(source)
    if functions:
        chosen = [mutant for mutant in chosen if (places[mutant.line][0] or "") in functions]
    print("%d changes" % len(chosen), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        copy_to(folder)
        left = warm.run(folder, source, chosen, changed, workers)
    names = {mutant: change(source, changed(source, mutant)) for mutant in left}
    counts = collections.Counter(names.values())

    def reason(mutant):
        # Of two places with one name, a reason is for the first only.
        return reasons.get(names[mutant]) if counts[names[mutant]] == 1 else None

    todo = [mutant for mutant in left if reason(mutant) is None]
    print("%d of them in new processes" % len(todo), flush=True)
    missed = in_new_processes(source, todo, pythons, workers)
    survivors = sorted(set(left) - set(todo) | set(missed))
    for mutant in survivors:
        print("%d: %s:\n- %s\n+ %s\n  %s" % (
            (mutant.line,) + names[mutant] + (reason(mutant) or "NOT FOUND BY ANY TEST",)))
    if not functions:
        for name in sorted(set(reasons) - set(names[mutant] for mutant in survivors)):
            print("no longer there, or found: %s: %s: %s" % name)
    found = len(chosen) - len(survivors)
    percent = 100.0 * found / len(chosen)
    print("%d of %d changes found: %.1f %%; %d of the others not explained"
          % (found, len(chosen), percent, len(missed)))
    return 1 if percent < REQUIRED or missed else 0


if __name__ == "__main__":
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.environ.pop("HYPOTHESIS_PROFILE", None)
    os.environ.pop("PYTHONPATH", None)
    parser = argparse.ArgumentParser()
    parser.add_argument("--in", dest="functions", nargs="+", metavar="FUNCTION")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("pythons", nargs="*", metavar="PYTHON")
    arguments = parser.parse_args()
    sys.exit(main(arguments.functions, [sys.executable] + arguments.pythons, arguments.workers))
