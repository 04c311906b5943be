"""What the readers read: streams, faults, and the page that a browser reads them in."""

import collections
import contextlib
import io
import itertools
import os
import socket
import threading
import time

import pytest

from sse import Sse, last_event_id
from vectors import WRITTEN, call, called

serving = pytest.importorskip("werkzeug.serving")

NODE_MODULES = os.environ.get("SSE_NODE_MODULES", "")


def message(*arguments):
    return ["add_message", list(arguments)]


def row(*calls, **new):
    return {"new": dict({"default_retry": None}, **new), "calls": calls}


CASES = WRITTEN + [
    dict(row(message("e", "x" * 300000)), name="long line", events=[["e", "x" * 300000, ""]]),
    dict(row(message("e", "x\n" * 3000 + "x")), name="many lines",
         events=[["e", "x\n" * 3000 + "x", ""]]),
]
END = row(message("end", "."))
WITH_ID = message("e", "x", "utf-8", "7")

# name, calls before the connection drops, the Last-Event-ID of the requests that follow
RETURNS = [
    ("no id", [message("e", "x")], None),
    ("id", [WITH_ID], "7"),
    ("id before", [WITH_ID, message("e", "y")], "7"),
    ("id alone", [message("e", "x"), ["set_event_id", ["7"]]], "7"),
    ("reset", [WITH_ID, message("e", "y", "utf-8", "")], None),
    ("reset alone", [WITH_ID, ["reset_event_id", []]], None),
    ("id 0", [message("e", "x", "utf-8", 0)], "0"),
    ("id with space", [message("e", "x", "utf-8", "a b")], "a b"),
    ("id in Latin-1", [message("e", "x", "utf-8", "é")], "é"),
    ("id beyond Latin-1", [message("e", "x", "utf-8", "é…\U0001f600")], "é…\U0001f600"),
    ("id of 1024 bytes", [message("e", "x", "utf-8", "0" * 1024)], "0" * 1024),
]
# Longer than anyone waits by default.
RETRY = 3500


def chunks(row):
    """All that the calls of a row write."""
    sse, taken = called(row)
    sse.close()
    return itertools.chain([taken] if taken else [], sse.stream())


def pieces(chunks):
    """The chunks cut where it hurts, within characters and between the two ends of a block."""
    for chunk in chunks:
        step = 1 + len(chunk) // 1000
        for start in range(0, len(chunk), step):
            yield chunk[start:start + step]


def stream(*rows, how=iter):
    """An answer of these rows; `how` is a function of its chunks."""
    def app(environ, start_response):
        sse, taken = called(rows[0])
        sse.close()
        first = itertools.chain([taken] if taken else [], sse(environ, start_response))
        return how(itertools.chain(first, *map(chunks, rows[1:])))
    return app


def status(line):
    def app(environ, start_response):
        start_response(line, [("Content-Type", "text/html")])
        return [] if line.startswith("204") else [b"<p>Sorry</p>"]
    return app


def cut(environ, start_response):
    """The connection ends without an answer."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionError


def cut_in_a_block(environ, start_response):
    """The connection ends in the second block, and without the last chunk of HTTP."""
    answer = Sse(default_retry=50)
    call(answer, *WITH_ID)
    for chunk in answer(environ, start_response):
        yield chunk + b"event: e\ndata: half"
        cut(environ, start_response)


def module(name):
    """A file of an npm package; its imports leave out the end of the name."""
    def app(environ, start_response):
        path = os.path.join(NODE_MODULES, name)
        with io.open(path if path.endswith(".js") else path + ".js", "rb") as file:
            start_response("200 OK", [("Content-Type", "text/javascript")])
            return [file.read()]
    return app


NO_CONTENT = status("204 No Content")
DROPS = stream(row(WITH_ID, default_retry=50))
ERRORS = ["400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found",
          "429 Too Many Requests", "500 Internal Server Error", "502 Bad Gateway",
          "503 Service Unavailable", "504 Gateway Timeout"]
# name, answers to the first requests; who reads may not ask again
STOPS = [("204 at once", [NO_CONTENT]), ("204", [DROPS, NO_CONTENT]),
         ("HTML at once", [status("200 OK")]), ("HTML", [DROPS, status("200 OK")])]
STOPS += [(line[:3] + " at once", [status(line)]) for line in ERRORS]
STOPS += [(line[:3], [DROPS, status(line)]) for line in ERRORS]
# The same; who reads has to ask again, and then has the events of `CUT`.
CUTS = [("no answer", [DROPS, cut]), ("cut in a block", [cut_in_a_block])]
CUT = [["e", "x", "7"], ["end", ".", "7"]]


class Streams(object):
    """/KIND/NUMBER: `visits` has the last event ID and the time of each request.

    Each stream ends with an event "end", and who then asks again gets a 204.
    """

    def __init__(self):
        self.visits = collections.defaultdict(list)

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        kind, _, rest = path[1:].partition("/")
        if kind == "npm":
            return module(rest)(environ, start_response)
        if kind in ("", "favicon.ico"):
            return status("200 OK")(environ, start_response)    # a page, for a browser
        visits = self.visits[path]
        visits.append((last_event_id(environ), time.time()))
        answers = getattr(self, "get_" + kind)(int(rest)) + [NO_CONTENT]
        return answers[min(len(visits), len(answers)) - 1](environ, start_response)

    def get_whole(self, number):
        return [stream(CASES[number], END)]

    def get_pieces(self, number):
        return [stream(CASES[number], END, how=pieces)]

    def get_return(self, number):
        """Drops twice."""
        return [stream(row(*RETURNS[number][1], default_retry=50)), stream(row()), stream(END)]

    def get_retry(self, number):
        return [stream(row(message("e", "x"), default_retry=number)), stream(END)]

    def get_stop(self, number):
        return STOPS[number][1] + [stream(END)]

    def get_cut(self, number):
        return CUTS[number][1] + [stream(END)]

    def get_line(self, number):
        """An event with a line of so many bytes."""
        return self._event("x" * (number - len("data: ")))

    def get_event(self, number):
        """An event whose lines, without their ends, are so many bytes together."""
        size = number - len("event: e")
        lines = [1024] * (size // 1024 - 1) + [1024 + size % 1024]
        return self._event("\n".join("x" * (line - len("data: ")) for line in lines))

    def _event(self, data):
        return [stream(row(message("e", data)), END)]


class Handler(serving.WSGIRequestHandler):
    protocol_version = "HTTP/1.1"       # the only one with chunks

    def log(self, *_):
        pass


@contextlib.contextmanager
def served(app, port=0):
    """The address of a WSGI application that is served."""
    server = serving.make_server("127.0.0.1", port, app, threaded=True, request_handler=Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield "http://127.0.0.1:%d" % server.port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
