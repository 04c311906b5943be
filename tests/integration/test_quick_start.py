"""The README's quick start, as it stands there, in a process of its own."""

import io
import os
import re
import textwrap

from support import Client, free_port, python, running

README = os.path.join(
    os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir, "README.rst")


def test_quick_start(tmpdir):
    with io.open(README, encoding="utf-8") as file:
        block = re.search(
            r"Quick start\n-+\n\n\.\. code-block:: python\n\n((?: {4}.*\n|\n)+)", file.read())
    port = free_port()
    script = tmpdir.join("quick_start.py")
    script.write(textwrap.dedent(block.group(1)).replace("8000", str(port)))
    with running(python(str(script)), port):
        with Client("http://127.0.0.1:%d/" % port) as client:
            assert client.response.headers["Content-Type"] == "text/event-stream"
            assert client.rest() == (
                b"retry: 2000\n\n"
                b"event: greeting\ndata: Hello,\ndata: world\n\n"
                b"event: numbers\ndata: [1,2,3]\nid: 2\n\n")
