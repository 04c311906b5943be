"""The module, `__all__` and the documentation have the same names; so has the stub: stubtest."""

import ast
import inspect
import io
import re

import sse
from docs import read, titles

# What the headings of the reference call an object of each class. A heading without it stands
# for the method of both.
CLASSES = {"sse": sse.Sse, "channel": sse.Channel}

# The headings for what is not a method of its own name.
OPERATORS = {"str(sse)", "bytes(sse)", "iter(sse)", "repr(sse)",
             "sse(environ, start_response)", "channel(environ, start_response)"}


def syntax_tree():
    """Of the module that is imported, which need not be the one of the checkout."""
    with io.open(inspect.getsourcefile(sse), "rb") as file:
        return ast.parse(file.read())


def imports(tree):
    return [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]


def public(names):
    return {name for name in names if not name.startswith("_")}


def methods(cls):
    return public(dir(cls))


def arguments(function):
    """The names and the defaults, without self."""
    spec = getattr(inspect, "getfullargspec", None) or inspect.getargspec
    names, varargs, keywords, defaults = spec(function)[:4]
    assert keywords is None
    stars = ["*" + varargs] if varargs else []
    return [name for name in names if name != "self"] + stars, defaults or ()


def without_keep(signature):
    """A channel's adding calls have one argument more, the last; the reference says so once."""
    names, defaults = signature
    if names[-1:] == ["keep"]:
        assert defaults[-1] is True
        return names[:-1], defaults[:-1]
    return signature


def written(signature):
    """The same, of what stands between brackets in a text."""
    return arguments(eval("lambda %s: None" % signature))


def headings():
    """What the titles of the reference have in double backquotes."""
    return [name for page in ("docs/api.rst", "docs/channel.rst") for title in titles(page)
            for name in title]


def entries():
    """What each heading names: what stands in its brackets, or None, and the objects."""
    found = {}
    for heading in headings():
        if heading in OPERATORS:
            continue
        owner, name, signature = re.match(
            r"(?:(sse|channel)\.)?(\w+)(?:\((.*)\))?\Z", heading).groups()
        if owner:
            objects = [getattr(CLASSES[owner], name)]
        elif name == "add_event_NAME":
            objects = []
        elif name in sse.__all__:
            objects = [getattr(sse, name)]
        else:
            objects = [getattr(cls, name) for cls in CLASSES.values()]
        key = "%s.%s" % (owner, name) if owner else name
        assert key not in found
        found[key] = signature, objects
    return found


def test_all_is_what_the_module_has_and_did_not_import():
    imported = {alias.asname or alias.name for node in imports(syntax_tree())
                for alias in node.names}
    assert public(vars(sse)) - imported | {"__version__"} == set(sse.__all__)
    scope = {}
    exec("from sse import *", scope)
    assert set(scope) - {"__builtins__"} == set(sse.__all__)
    assert [type(name) for name in sse.__all__] == [str] * len(sse.__all__)


def test_the_reference_has_an_entry_for_each_name():
    shared = methods(sse.Sse) & methods(sse.Channel) - {"close", "closed"}
    expected = set(sse.__all__) | shared | {"add_event_NAME"}
    for owner, cls in CLASSES.items():
        expected |= {"%s.%s" % (owner, name) for name in methods(cls) - shared}
    assert set(entries()) == expected
    assert sorted(set(headings()) & OPERATORS) == sorted(OPERATORS)


def test_the_reference_has_the_signatures_of_the_code():
    for name, (signature, objects) in entries().items():
        for found in objects:
            if inspect.isclass(found) and not issubclass(found, Exception):
                assert written(signature) == arguments(found.__init__), name
            elif callable(found) and not inspect.isclass(found):
                assert signature is not None, name
                assert written(signature) == without_keep(arguments(found)), name
            else:
                assert signature is None, name
    names, defaults = arguments(sse.Sse.add_message)
    assert written(entries()["add_event_NAME"][0]) == (names[1:], defaults)
    for cls in CLASSES.values():
        assert arguments(cls.__call__)[0] == ["environ", "start_response"]


def test_each_name_has_a_docstring():
    for cls in CLASSES.values():
        for name in methods(cls) | {"__call__"}:
            assert inspect.getdoc(getattr(cls, name)), name
    for name in ["__iter__", "__bytes__", "__unicode__"]:
        assert inspect.getdoc(getattr(sse.Sse, name)), name
    for documented in sse, sse.Sse, sse.Channel, sse.Closed, sse.last_event_id:
        assert inspect.getdoc(documented)


def test_no_version_branch_outside_six():
    used = set()
    for node in ast.walk(syntax_tree()):
        used.add(getattr(node, "id", None) or getattr(node, "attr", None))
    assert not used & {
        # What a branch on the version asks.
        "version_info", "hexversion", "version", "python_version", "python_implementation",
        # What only one of the versions has.
        "unicode", "basestring", "long", "unichr", "xrange", "reduce", "NameError",
        "ModuleNotFoundError"}


def test_nothing_is_imported_but_six_and_what_every_version_has():
    modules = set()
    for node in imports(syntax_tree()):
        if isinstance(node, ast.ImportFrom):
            modules.add(node.module)
        else:
            modules.update(alias.name for alias in node.names)
    assert modules <= {"__future__", "asyncio", "binascii", "codecs", "collections",
                       "contextvars", "functools", "inspect", "io", "json", "logging", "os",
                       "random", "re", "six", "sys", "threading", "time", "weakref"}


def test_version_is_the_newest_of_the_changelog():
    titles = re.findall(r"^([^\n]+)\n[=~^-]{3,}$", read("CHANGELOG.rst"), re.M)
    versions = [title.split()[0] for title in titles if title[0].isdigit()]
    assert versions[0] == sse.__version__
    assert re.match(r"\d+\.\d+\.\d+\Z", sse.__version__)
