"""The tables of this folder, as README.rst describes them: `WRITTEN`, `REFUSED`, `STREAMS`."""

from __future__ import unicode_literals

import binascii
import glob
import io
import json
import os

from sse import Sse

HERE = os.path.dirname(os.path.abspath(__file__))

KINDS = {
    "bytes": lambda digits: binascii.unhexlify(digits.encode("ascii")),
    "tuple": lambda items: tuple(value(items)),
    "set": lambda items: set(value(items)),
    "frozenset": lambda items: frozenset(value(items)),
    "float": float,
    "json": lambda content: dict((key, value(item)) for key, item in content.items()),
    "join": lambda parts: "".join(value(parts)),
}


def value(written):
    """A Python value from how the tables write it."""
    if isinstance(written, list):
        return [value(item) for item in written]
    if isinstance(written, dict):
        if "repeat" in written:
            return written["repeat"] * written["times"]
        (kind, content), = written.items()
        return KINDS[kind](content)
    return written


def load(pattern):
    """The content of each file, by its name."""
    for path in sorted(glob.glob(os.path.join(HERE, pattern))):
        with io.open(path, encoding="utf-8") as file:
            yield os.path.basename(path)[:-len(".json")], json.load(file)


def and_other_way(row):
    """The row; and once more with its id given with the message, or its retry by default."""
    yield row
    calls = row["calls"] if "calls" in row else [row["call"]]
    if calls and calls[0][0] == "set_event_id" and calls[0][1] != [None]:
        with_it = ["add_message", ["e", "x"], {"event_id": calls[0][1][0]}]
        name = row["name"] + ", with the message"
        if calls[1:] == [["add_message", ["e", "x"]]]:
            yield dict(row, name=name, calls=[with_it])
        elif "call" in row:
            yield dict(row, name=name, call=with_it)
    elif "call" in row and calls[0][0] == "set_retry" and calls[0][1] != [None]:
        yield dict(row, name=row["name"] + ", by default", call=["Sse", calls[0][1]])


def rows(part):
    """The rows of that part of all files, each with its file in its name."""
    found = []
    for name, content in load("*.json"):
        for row in [row for first in content.get(part, ()) for row in and_other_way(first)]:
            row = dict(row, name="%s: %s" % (name, row["name"]))
            row["new"] = value({"json": row.get("new", {"default_retry": None})})
            for key in "wire", "events", "last_event_id":
                if key in row:
                    row[key] = value(row[key])
            found.append(row)
    return found


WRITTEN = rows("written")
REFUSED = rows("refused")

# The web platform tests: "FILE-NUMBER" and the stream.
STREAMS = [
    ("%s-%d" % (os.path.basename(test["test"]).split(".")[0], number),
     dict((key, value(content)) for key, content in stream.items()))
    for _, tests in load(os.path.join("web-platform", "streams.json"))
    for test in tests
    for number, stream in enumerate(test["streams"], 1)]


def call(target, name, arguments, keywords=None):
    """One call of a row; "Sse" is the constructor."""
    function = Sse if name == "Sse" else getattr(target, name)
    return function(*value(arguments), **value({"json": keywords or {}}))


def called(row):
    """The `Sse` of a row after its calls, and the bytes that these took from it."""
    sse = Sse(**row["new"])
    return sse, b"".join([call(sse, *arguments) or b"" for arguments in row["calls"]])
