"""The examples of the README and of the module's docstring do what they show."""

import doctest
import io
import os
import re

import sse

README = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "README.rst")


def test_examples():
    results = doctest.testfile(README, module_relative=False, encoding="utf-8")
    assert results.attempted >= 40 and results.failed == 0


def test_docstring():
    results = doctest.testmod(sse)
    assert results.attempted == 4 and results.failed == 0


def test_ci_calls_the_test_command():
    with io.open(README, encoding="utf-8") as file:
        command = re.search(r"^Test it::\n\n    (.+)\n", file.read(), re.M).group(1)
    run = os.path.join(os.path.dirname(README), ".ci", "run")
    if os.path.exists(run):     # not in the sdist
        with io.open(run, encoding="utf-8") as file:
            assert "\n%s\n" % command in file.read()
