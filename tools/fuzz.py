"""The properties over and over, with other inputs each time: python tools/fuzz.py [SECONDS]

Ends after that many seconds (120) and the example that it is at; with status 1 as soon as one
fails, of which hypothesis prints the smallest form.
"""

from __future__ import print_function

import os
import sys
import time

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

sys.path.insert(0, os.path.join(
    os.path.dirname(os.path.abspath(__file__)), os.pardir, "tests"))

import test_properties  # noqa: E402
from strategies import COMMON  # noqa: E402
from test_machine import Machine  # noqa: E402

SETTINGS = settings(max_examples=100, stateful_step_count=60, derandomize=False, database=None,
                    **COMMON)


def machine():
    run_state_machine_as_test(Machine, settings=SETTINGS)


def properties():
    tests = [test for name, test in sorted(vars(test_properties).items())
             if name.startswith("test_")]
    assert tests
    return [SETTINGS(test) for test in tests] + [machine]


def main(seconds):
    end = time.time() + seconds
    runs = 0
    tests = properties()
    while time.time() < end:
        tests[runs % len(tests)]()
        runs += 1
    print("%d runs of up to %d examples in %d seconds, over %d properties: all held"
          % (runs, SETTINGS.max_examples, time.time() - end + seconds, len(tests)))
    # In a shorter time some of them were never tried.
    return 0 if runs >= len(tests) else "too short"


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 120))
