"""What the benchmarks share: tools/peers.py, their options, and the name of the interpreter."""

from __future__ import print_function, unicode_literals

import json
import os
import platform
import sys

sys.path.insert(0, os.path.join(
    os.path.dirname(os.path.abspath(__file__)), os.pardir, "tools"))

import peers  # noqa: E402, F401: it also knows where sse is


def add_arguments(parser):
    parser.add_argument("--old", metavar="DIR", default=os.environ.get("SSE_1_2"),
                        help="where pip install --no-deps --target DIR sse==1.2 put it; "
                             "or SSE_1_2")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--quick", action="store_true", help="few rounds, for CI")


def interpreter():
    return "%s %s, %s" % (platform.python_implementation(), platform.python_version(),
                          platform.machine())


def report(result, arguments, show):
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        show(result)
