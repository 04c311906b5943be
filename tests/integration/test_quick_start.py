"""The README's quick start, in a process of its own."""

import io
import os

from loopback import Client, EXAMPLES, free_port, python, running


def test_quick_start(tmpdir):
    port = free_port()
    with io.open(os.path.join(EXAMPLES, "quick_start.py"), encoding="utf-8") as file:
        text = file.read()
    assert "8000" in text
    script = tmpdir.join("quick_start.py")
    script.write(text.replace("8000", str(port)))
    with running(python(str(script)), port):
        with Client("http://127.0.0.1:%d/" % port) as client:
            assert client.response.headers["Content-Type"] == "text/event-stream"
            assert client.rest() == (
                b"retry: 2000\n\n"
                b"event: greeting\ndata: Hello,\ndata: world\n\n"
                b"event: numbers\ndata: [1,2,3]\nid: 2\n\n")
