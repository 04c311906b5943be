"""The code of the README, of docs/ and of the module's docstring does what it shows."""

from __future__ import unicode_literals

import doctest
import json
import os
import re

import pytest
from docutils import nodes

import sse
from docs import blocks, DOCUMENTS, found, read, README, ROOT, session


def names(paths):
    return [os.path.relpath(path, ROOT) for path in paths]


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_sessions(document):
    assert doctest.DocTestRunner().run(session(document, "doctest")).failed == 0


def test_docstring():
    results = doctest.testmod(sse)
    assert results.attempted == 4 and results.failed == 0


BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
FILES = [block for block in BLOCKS if block.path]


def test_there_are_sessions_and_files():
    assert sum(block.text.count(">>> ") for block in BLOCKS if block.language == "doctest") >= 40
    assert len(FILES) >= 10


@pytest.mark.parametrize("block", FILES, ids=[block.path for block in FILES])
def test_a_block_that_names_a_file_is_that_file(block):
    text = read(block.path)
    if block.whole:
        assert block.text == text
    else:
        # It may stand deeper there.
        assert any("\n" + re.sub("(?m)^(?=.)", indent, block.text) in text
                   for indent in ("", "  ", "    "))


def test_ci_calls_the_test_command():
    command = "pip install tox && tox\n"
    assert command in [block.text for block in blocks(README)]
    if os.path.exists(os.path.join(ROOT, ".ci", "run")):     # not in the sdist
        assert "\n" + command in read(".ci", "run")
        assert "\ntox -m full\n" in read(".ci", "run")


def test_the_clients_depart_as_the_table_says():
    departures = {}
    for row in json.loads(read("tests", "integration", "python3", "readers", "departures.json")):
        for reader in row["readers"]:
            departures.setdefault(reader, set()).add(row["why"])
    said, words = {}, set()
    for table in found("docs/wire.rst", nodes.table):
        rows = [[cell.astext() for cell in row.children] for row in
                (getattr(table, "findall", None) or table.traverse)(nodes.row)]
        if rows[0][0] == "Client":
            for row in rows[1:]:
                reasons = set(re.findall(r"[\w-]+", row[2])) - {"below"}
                said.update({row[0].split()[0]: reasons} if reasons else {})
        elif rows[0][0] == "bom":
            words.update(row[0] for row in rows)
    assert said == departures
    assert words == set().union(*departures.values())


def test_each_python_has_its_environments():
    """The table names all that CI runs, but for the checks of the house."""
    said = re.search(
        r"Python +Environments +How\n=.*\n((?:.*\n)+?)=", read("docs", "pythons.rst"))
    listed = re.search(r"(?m)^env_list =\n((?: .*\n)+)(?:#.*\n)*labels =\n +full = (.*)\n",
                       read("tox.ini"))
    house = {"bench", "coverage", "lint", "package", "types", "py314", "py315"}
    environments = set(re.findall(r"[\w-]+", " ".join(listed.groups()))) - house
    pattern = r"\b(?:py\d+|pypy3|wasm-\d+|compat|storms|integration(?:-py27)?)(?![\w-])"
    assert set(re.findall(pattern, said.group(1))) == environments
    versions = re.findall(r"Python :: (\d\.\d+)", read("setup.py"))
    assert versions == ["2.7"] + ["3.%d" % minor for minor in range(6, 16)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_links_to_files(document):
    folder = os.path.dirname(os.path.join(ROOT, document))
    paths = [link["refuri"] for link in found(document, nodes.reference) if "refuri" in link]
    paths += [image["uri"] for image in found(document, nodes.image)]
    for path in paths:
        if re.match("https?://", path):
            continue
        path, _, section = path.partition("#")
        path = os.path.join(folder, path) if path else os.path.join(ROOT, document)
        assert os.path.exists(path), path
        if section:
            headings = [title.astext() for title in found(path, nodes.title)]
            # As docutils and the usual hosts name them.
            assert section in [re.sub("[^a-z0-9]+", "-", heading.lower()).strip("-")
                               for heading in headings], section
