"""The code in README.rst and docs/*.rst, and where it is found: `DOCUMENTS` and `blocks`.

A block whose first line is a comment with a path, as one of

    # examples/frameworks/flask_app.py
    // examples/clock.js
    <!-- examples/clock.html -->

shows that file: the rest of the block is the whole file, which test_docs.py holds it to. Where
", in part" follows the path, the rest is a part of the file.
"""

from __future__ import unicode_literals

import collections
import doctest
import glob
import io
import os
import re

from docutils import core, nodes

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
README = os.path.join(ROOT, "README.rst")
DOCUMENTS = [README] + sorted(glob.glob(os.path.join(ROOT, "docs", "*.rst")))

# A language ("" for the text after ::, "doctest" for a session, "pycon" for one that needs Python
# 3), the text, the path that its first line names, or None, and whether it is the whole file.
Block = collections.namedtuple(str("Block"), "language text path whole")


def read(*path):
    with io.open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def parsed(document):
    """The document as docutils sees it; what it warns of is an error."""
    return core.publish_doctree(read(document), document, settings_overrides={
        "halt_level": 2, "report_level": 5, "syntax_highlight": "none",
        "file_insertion_enabled": False})


def found(document, kind):
    tree = parsed(document)
    return list((getattr(tree, "findall", None) or tree.traverse)(kind))


def titles(document):
    """Of each section title, the texts in double backquotes."""
    return [[literal.astext() for literal in title.children if isinstance(literal, nodes.literal)]
            for title in found(document, nodes.title)]


def blocks(document):
    """Its `Block`s, in order."""
    made = []
    for node in found(document, nodes.FixedTextElement):
        text = node.astext() + "\n"
        if isinstance(node, nodes.doctest_block):
            made.append(Block("doctest", text, None, None))
        elif isinstance(node, nodes.literal_block):
            language = ([name for name in node["classes"] if name != "code"] + [""])[0]
            first, _, rest = text.partition("\n")
            named = re.match(r"(?:#|//|<!--) (\S+/\S+?)(, in part)?(?: -->)?\Z", first)
            if named:
                path, part = named.groups()
                made.append(Block(language, rest.lstrip("\n"), path, not part))
            else:
                made.append(Block(language, text, None, None))
    return made


def session(document, language):
    """The sessions of this language in the document, as one doctest."""
    text = "\n".join([block.text for block in blocks(document) if block.language == language])
    return doctest.DocTestParser().get_doctest(text, {}, os.path.basename(document), None, None)
