# -*- coding: utf-8 -*-
"""What each encoder makes of difficult input, decoded as a client does.

`python tools/features.py` prints it; with `--check docs/benchmarks.rst` it fails unless the
table stands there.
"""

from __future__ import unicode_literals

import argparse
import io
import sys

import peers  # also puts tests/ on the path

from spec_decoder import decode


REFUSED = object()

# What is tried, the call's arguments, and what a client must get: type, data and id, or
# nothing, because the call is refused.
ROWS = [
    ("CR, CRLF and LF in data", dict(data="a\rb\r\nc\nd"), ("message", "a\nb\nc\nd", "")),
    ("U+2028, U+0085, VT in data", dict(data="a\u2028b\x85c\x0bd"),
     ("message", "a\u2028b\x85c\x0bd", "")),
    ("empty data", dict(data=""), ("message", "", "")),
    ("a newline at the end", dict(data="a\n"), ("message", "a\n", "")),
    ("a space at the start", dict(data=" a"), ("message", " a", "")),
    ("id 0", dict(data="x", id=0), ("message", "x", "0")),
    ("newline in the event name", dict(data="x", event="a\ndata: evil"), REFUSED),
    ("newline in the id", dict(data="x", id="1\ndata: evil"), REFUSED),
    ("U+0000 in the id", dict(data="x", id="a\x00b"), REFUSED),
    ("retry -1", dict(data="x", retry=-1), REFUSED),
    ("retry True", dict(data="x", retry=True), REFUSED),
    ("bytes as data", dict(data=b"a"), ("message", "a", "")),
]


def outcome(peer, arguments, expected):
    try:
        sent = peer.inside(lambda: peer.fields(**arguments))
    except Exception:   # whatever class the peer has for it
        return "refused"
    if sent is None:
        return "--"
    events = decode(sent).events
    if events == [expected]:
        return "right"
    if not events:
        return "lost"
    if "evil" in events[0].data:
        return "**forged**"
    if expected is REFUSED and arguments.get("event", arguments.get("id")) is None:
        return "sent"
    return "sent" if b"\x00" in sent else "changed"


def table():
    encoders = [kind() for kind in [peers.Ours] + peers.KINDS if kind.heading]
    rows = [[""] + [peer.heading for peer in encoders]]
    for label, arguments, expected in ROWS:
        rows.append([label] + [outcome(peer, arguments, expected) for peer in encoders])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    ruler = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
             for row in rows]
    lines[1:] = [line if line[0] != " " else "\\" + line[1:] for line in lines[1:]]
    return "\n".join([ruler, lines[0], ruler] + lines[1:] + [ruler]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", metavar="FILE", help="fail unless the table stands in it")
    arguments = parser.parse_args()
    text = table()
    print(text)
    if arguments.check:
        with io.open(arguments.check, encoding="utf-8") as file:
            if text not in file.read():
                sys.exit("%s has another table" % arguments.check)


if __name__ == "__main__":
    main()
