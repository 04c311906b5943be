"""What the tox env `types` runs: the type checkers, on the stub of the installed wheel.

The quick start must be right too. There, functions may go without annotations, as it runs on
Python 2.7.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
USES = os.path.join(HERE, "uses.py")
QUICK_START = os.path.join(HERE, os.pardir, os.pardir, "examples", "quick_start.py")


def run(*arguments: str) -> bool:
    print("$ python -m", *arguments, flush=True)
    return subprocess.call([sys.executable, "-m", *arguments]) == 0


def main() -> int:
    # Away from the checkout, whose sse-stubs the checkers would find first.
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        shutil.copy(USES, "uses.py")
        shutil.copy(QUICK_START, "quick_start.py")
        passed = [
            run("mypy", "--strict", "uses.py"),
            run("basedpyright", "--pythonpath", sys.executable, "--warnings", "uses.py"),
            run("mypy.stubtest", "sse"),
            run("mypy", "--strict", "--allow-untyped-defs", "--allow-untyped-calls",
                "quick_start.py"),
            run("basedpyright", "--pythonpath", sys.executable, "--level", "error",
                "quick_start.py"),
        ]
    print("%d passed, %d failed" % (passed.count(True), passed.count(False)))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
