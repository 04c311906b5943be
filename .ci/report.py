"""What `.ci/run` prints at its end: the last lines of each environment, which tox kept to itself.

    report.py RESULT ...    files that tox wrote for --result-json
"""

import json
import sys

LINES = 25      # as many as the storms print


def main(paths):
    for path in paths:
        with open(path, encoding="utf-8") as file:
            environments = json.load(file)["testenvs"]
        for name, environment in environments.items():
            # And not what it printed to build.
            printed = "".join(command["output"] for command in environment.get("test", [])
                              if command["run_id"].startswith("commands"))
            if printed.strip():
                print("\n== %s ==" % name)
                print("\n".join(printed.rstrip().split("\n")[-LINES:]))


if __name__ == "__main__":
    main(sys.argv[1:])
