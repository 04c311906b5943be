"""The public names: the module, `__all__`, the stub, the documentation and pydoc agree."""

import ast
import inspect
import io
import pydoc
import re

import pytest

import sse
from docs import DOCUMENTS, read, titles

# The headings of the reference for what is not a method of its own name.
OPERATORS = {
    "str(sse)": "__str__",
    "bytes(sse)": "__bytes__",
    "iter(sse)": "__iter__",
    "repr(sse)": "__repr__",
    "sse(environ, start_response)": "__call__",
}


def syntax_tree():
    """Of the module that is imported, which need not be the one of the checkout."""
    with io.open(inspect.getsourcefile(sse), "rb") as file:
        return ast.parse(file.read())


def imports(tree):
    return [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]


def public(names):
    return {name for name in names if not name.startswith("_")}


def methods():
    return public(dir(sse.Sse))


def arguments(function):
    """The names and the defaults, without self."""
    spec = getattr(inspect, "getfullargspec", None) or inspect.getargspec
    names, varargs, keywords, defaults = spec(function)[:4]
    assert varargs is None and keywords is None
    return [name for name in names if name != "self"], defaults or ()


def written(signature):
    """The same, of what stands between brackets in a text."""
    return arguments(eval("lambda %s: None" % signature))


def headings():
    """What the titles of the reference, in the README or in docs/, have in double backquotes."""
    found = [name for document in DOCUMENTS for title in titles(document) for name in title]
    assert found, "no title with a name"
    return found


def entries():
    """The headings by name: what stands in their brackets, or None."""
    found = {}
    for heading in headings():
        if heading not in OPERATORS:
            name, signature = re.match(r"(?:sse\.)?(\w+)(?:\((.*)\))?\Z", heading).groups()
            assert name not in found
            found[name] = signature
    return found


def function_of(name):
    if name == "Sse":
        return sse.Sse.__init__
    return getattr(sse, name, None) or getattr(sse.Sse, name)


def test_all_is_what_the_module_has_and_did_not_import():
    imported = {alias.asname or alias.name for node in imports(syntax_tree())
                for alias in node.names}
    assert public(vars(sse)) - imported | {"__version__"} == set(sse.__all__)
    assert len(set(sse.__all__)) == len(sse.__all__)


def test_all_holds_native_strings():
    assert [type(name) for name in sse.__all__] == [str] * len(sse.__all__)
    scope = {}
    exec("from sse import *", scope)
    assert set(scope) - {"__builtins__"} == set(sse.__all__)


def test_stub_has_the_same_names():
    stub = read("sse-stubs", "__init__.pyi")
    names = re.findall(r"^(?:def |class )?([A-Za-z]\w*|__version__)\b *[:(]", stub, re.M)
    assert sorted(names) == sorted(sse.__all__)
    listed = re.search(r"^__all__ = (\[.+?\])$", stub, re.M | re.S).group(1)
    assert sorted(ast.literal_eval(listed)) == sorted(sse.__all__)
    body = stub[stub.index("class _Adds:"):stub.index("class Channel(")]
    assert public(re.findall(r"^    def (\w+)\(", body, re.M)) == methods()


def test_the_reference_has_an_entry_for_each_name():
    assert set(entries()) == set(sse.__all__) | methods() | {"add_event_NAME"}
    operators = [heading for heading in headings() if heading in OPERATORS]
    assert len(set(operators)) == len(operators)
    assert {"str(sse)", "bytes(sse)", "iter(sse)", "sse(environ, start_response)"} <= set(operators)


def test_the_reference_has_the_signatures_of_the_code():
    for name, signature in entries().items():
        if name == "add_event_NAME":
            names, defaults = arguments(sse.Sse.add_message)
            assert written(signature) == (names[1:], defaults)
        elif callable(function_of(name)):
            assert signature is not None, name
            assert written(signature) == arguments(function_of(name)), name
        else:
            assert signature is None, name
    assert arguments(sse.Sse.__call__)[0] == ["environ", "start_response"]


def test_pydoc_has_the_signatures_of_the_reference():
    text = pydoc.plain(pydoc.render_doc(sse))
    shown = {}
    for name, signature in re.findall(r"^[ |]+(\w+)\((.*)\)$", text, re.M):
        shown.setdefault(name, signature)
    shown["Sse"] = shown["__init__"]
    for name, signature in entries().items():
        if name != "add_event_NAME" and signature is not None:
            assert written(shown[name]) == written(signature), name


def test_pydoc_explains_each_name():
    for name in sorted(methods()) + ["__call__", "__iter__", "__bytes__", "__unicode__"]:
        assert inspect.getdoc(getattr(sse.Sse, name)), name
    for documented in sse, sse.Sse, sse.last_event_id:
        assert inspect.getdoc(documented)


@pytest.mark.parametrize("names", [
    # What a branch on the version asks.
    ["version_info", "hexversion", "version", "python_version", "python_implementation"],
    # What only one of the versions has.
    ["unicode", "basestring", "long", "unichr", "xrange", "reduce", "NameError",
     "ModuleNotFoundError"],
])
def test_no_version_branch_outside_six(names):
    used = set()
    for node in ast.walk(syntax_tree()):
        used.add(getattr(node, "id", None) or getattr(node, "attr", None))
    assert not used & set(names)


def test_nothing_is_imported_but_six_and_what_every_version_has():
    modules = set()
    for node in imports(syntax_tree()):
        if isinstance(node, ast.ImportFrom):
            modules.add(node.module)
        else:
            modules.update(alias.name for alias in node.names)
    assert modules <= {"__future__", "binascii", "codecs", "collections", "functools", "io",
                       "itertools", "json", "os", "random", "re", "sys", "threading", "six",
                       "asyncio", "contextvars", "weakref"}


def test_version_is_the_newest_of_the_changelog():
    titles = re.findall(r"^([^\n]+)\n[=~^-]{3,}$", read("CHANGELOG.rst"), re.M)
    versions = [title.split()[0] for title in titles if title[0].isdigit()]
    assert versions[0] == sse.__version__
    assert re.match(r"\d+\.\d+\.\d+\Z", sse.__version__)
