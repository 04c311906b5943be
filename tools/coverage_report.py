"""What the tox env `coverage` runs: the lines and branches of sse.py that the tests ran.

The data of all environments that ran are combined. Only with Python 2.7 and a Python 3 among
them is there no line that cannot have run: then it must be 100 %.
"""

import glob
import os
import subprocess
import sys

OPTIONS = ["--rcfile=tox.ini", "--data-file=.coverage"]


def main():
    ran = sorted(os.path.basename(path)[len(".coverage."):] for path in glob.glob(".coverage.py*"))
    if not ran:
        return "no test has run under coverage"
    print("ran: " + ", ".join(ran))
    coverage = [sys.executable, "-m", "coverage"]
    subprocess.run(coverage + ["combine"] + OPTIONS, check=True)
    both = "py27" in ran and len(ran) > 1
    if not both:
        print("not held to 100 %, which takes Python 2.7 and a Python 3")
        if os.environ.get("SSE_NO_SKIPS"):
            return "one of them is missing"
    return subprocess.call(
        coverage + ["report"] + OPTIONS + ["--fail-under=%d" % (100 if both else 0)])


if __name__ == "__main__":
    sys.exit(main())
