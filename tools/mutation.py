"""What the tox env `mutation` runs: does a test fail for each small change of sse.py?

    mutation.py [--in _Log Channel.open] [--lines 700-900] [--python PYTHON]

The changes are cosmic-ray's, one place at a time, each tried in a copy of the tests; of some
classes and functions only, or of some lines. What no test finds is shown as a diff, unless
equivalent.txt has it, with the reason why nobody can see it. Required are 95 of 100 found.
"""

import argparse
import ast
import concurrent.futures
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
REQUIRED = 95
SECONDS = 300       # after which the tests hang

# They test no code, or only what stands in other files.
LEFT_OUT = ["integration", "test_docs*.py", "test_surface.py", "test_spec_decoder.py"]
# The first that are tried find most, quickly; the last are slow.
FIRST = ["test_vectors.py", "test_history.py", "test_topics.py", "test_http.py", "test_stream.py"]
LAST = ["test_values.py", "test_object.py", "test_threads.py", "test_storm.py"]

# Of the other operators, the two nearest: those that texts do not have fail at once, and
# would only make the figure look better.
EXCLUDED = re.compile("core/ReplaceBinaryOperator_(?:%s)" % "|".join([
    "Add_(?!Sub$|Mul$).*", "Mod_(?!Add$|Mul$).*", "(Sub|Mul|Pow|FloorDiv)_(?!Add$|Sub$|Mul$).*",
    "(Bit).*_(?!BitOr$|BitAnd$).*"]))


def lines_of(source, names):
    """The lines of these classes and functions, "Class.function" for one in a class."""
    found = set()

    def visit(node, path):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.ClassDef, ast.FunctionDef)):
                name = path + child.name
                if name in names:
                    found.update(range(child.lineno, child.end_lineno + 1))
                visit(child, name + ".")

    visit(ast.parse(source), "")
    return found


def mutants(source, lines):
    """Each change in these lines, or in all if there are none: its line, operator and number."""
    nodes = list(ast_nodes(get_ast(source)))
    for name in operator_names():
        operator = get_operator(name)
        if EXCLUDED.match(name) or operator.arguments():
            continue
        places = [start[0] for node in nodes
                  for start, _ in operator().mutation_positions(node)]
        for number, line in enumerate(places):
            if not lines or line in lines:
                yield line, operator, number


def difference(source, changed):
    """The lines that differ, as in equivalent.txt."""
    diff = difflib.unified_diff(source.splitlines(), changed.splitlines(), n=0, lineterm="")
    return "\n".join(line[0] + " " + line[1:].strip() for line in list(diff)[3:])


def equivalent():
    """The differences of equivalent.txt, each with the reason that stands above it."""
    reasons, why = {}, ""
    with open(os.path.join(HERE, "equivalent.txt"), encoding="utf-8") as file:
        for paragraph in file.read().strip().split("\n\n"):
            if paragraph.startswith("#"):
                why, _, paragraph = paragraph.partition("\n")
            reasons[paragraph] = why
    return reasons


FOLDERS = threading.local()


def folder():
    """The copy of this thread."""
    if not hasattr(FOLDERS, "temporary"):
        FOLDERS.temporary = tempfile.TemporaryDirectory()
        path = FOLDERS.temporary.name
        shutil.copytree(os.path.join(ROOT, "tests"), os.path.join(path, "tests"),
                        ignore=shutil.ignore_patterns("__pycache__", *LEFT_OUT))
        shutil.copy(os.path.join(ROOT, "tox.ini"), path)
    return FOLDERS.temporary.name


def passes(python, changed):
    """Whether all tests pass."""
    with open(os.path.join(folder(), "sse.py"), "w", encoding="utf-8") as file:
        file.write(changed)
    options = [python, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    middle = ["tests"] + ["--ignore=tests/" + name for name in FIRST + LAST]
    for tests in [["tests/" + name for name in FIRST], middle, ["tests/" + name for name in LAST]]:
        # A group of its own: what it started ends with it.
        with subprocess.Popen(options + tests, cwd=folder(), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, start_new_session=True) as process:
            try:
                failed = process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                failed = True
                os.killpg(process.pid, 9)
        if failed:
            return False
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--in", dest="names", nargs="+", default=[])
    parser.add_argument("--lines", default="")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    with open(os.path.join(ROOT, "sse.py"), encoding="utf-8") as file:
        source = file.read()
    lines = lines_of(source, arguments.names)
    if arguments.lines:
        first, _, last = arguments.lines.partition("-")
        lines.update(range(int(first), int(last or first) + 1))
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    if not passes(arguments.python, source):
        sys.exit("the tests fail without any change")
    reasons = equivalent()
    tried = found = unexplained = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.workers) as pool:
        def attempt(mutant):
            line, operator, number = mutant
            changed = mutate_code(source, operator(), number)
            return line, changed, passes(arguments.python, changed)

        for line, changed, survives in pool.map(attempt, mutants(source, lines)):
            tried += 1
            found += not survives
            if survives:
                diff = difference(source, changed)
                unexplained += diff not in reasons
                print("%d: %s\n%s\n" % (line, reasons.get(diff, "NOT FOUND BY ANY TEST"), diff),
                      flush=True)
    print("%d of %d changes found; %d of the others not explained" % (found, tried, unexplained))
    return 1 if unexplained or found * 100 < tried * REQUIRED else 0


if __name__ == "__main__":
    sys.exit(main())
