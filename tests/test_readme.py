"""The examples of the README and of the module's docstring do what they show."""

import doctest
import io
import os
import re

import pytest
import sse

FOLDER = os.path.dirname(os.path.abspath(__file__))
README = os.path.join(FOLDER, "..", "README.rst")


def read(path):
    with io.open(path, encoding="utf-8") as file:
        return file.read()


def test_examples():
    results = doctest.testfile(README, module_relative=False, encoding="utf-8")
    assert results.attempted >= 40 and results.failed == 0


def test_docstring():
    results = doctest.testmod(sse)
    assert results.attempted == 4 and results.failed == 0


@pytest.mark.parametrize("name", ["wsgi", "flask", "django", "starlette"])
def test_applications_are_those_that_run_in_the_integration_tests(name):
    text = read(os.path.join(FOLDER, "integration", "frameworks", name + "_app.py"))
    body = text.split('"""\n\n', 1)[1]
    assert re.sub("(?m)^(?=.)", "    ", body) in read(README)


def test_ci_calls_the_test_command():
    command = re.search(r"^Test it::\n\n    (.+)\n", read(README), re.M).group(1)
    run = os.path.join(FOLDER, "..", ".ci", "run")
    if os.path.exists(run):     # not in the sdist
        assert "\n%s\n" % command in read(run)
