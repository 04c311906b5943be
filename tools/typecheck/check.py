"""What the tox env `types` runs: the type checkers, on the stub of the installed wheel.

Given is the folder of the README, or nothing; its quick start must be right too. There,
functions may go without annotations, as it runs on Python 2.7.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import textwrap

USES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "uses.py")


def quick_start(readme: str) -> str:
    """The first block of Python in the section "Quick start" of the README."""
    section = re.split(r"(?im)^quick start\n[=~^-]{3,}\n", readme)[1]
    block = re.search(r"\.\. code(?:-block)?:: python\n+((?:(?: .*)?\n)+)|::\n\n((?:(?: .*)?\n)+)",
                      section)
    assert block, "no code in the quick start"
    return textwrap.dedent(block.group(1) or block.group(2)).strip() + "\n"


def run(*arguments: str) -> bool:
    print("$ python -m", *arguments, flush=True)
    return subprocess.call([sys.executable, "-m", *arguments]) == 0


def main() -> int:
    # Away from the checkout, whose sse-stubs the checkers would find first.
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with open(USES, encoding="utf-8") as source, open("uses.py", "w", encoding="utf-8") as copy:
            copy.write(source.read())
        passed = [
            run("mypy", "--strict", "uses.py"),
            run("basedpyright", "--pythonpath", sys.executable, "--warnings", "uses.py"),
            run("mypy.stubtest", "sse"),
        ]
        for readme in sys.argv[1:]:
            with open(os.path.join(readme, "README.rst"), encoding="utf-8") as source:
                code = quick_start(source.read())
            with open("quick_start.py", "w", encoding="utf-8") as copy:
                copy.write(code)
            passed += [
                run("mypy", "--strict", "--allow-untyped-defs", "--allow-untyped-calls",
                    "quick_start.py"),
                run("basedpyright", "--pythonpath", sys.executable, "--level", "error",
                    "quick_start.py"),
            ]
    print("%d passed, %d failed" % (passed.count(True), passed.count(False)))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
