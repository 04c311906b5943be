# -*- coding: utf-8 -*-
"""What an event costs on its way through a real WSGI server to one client.

`stream()` beside the iteration of 1.x, `(line.encode() for line in sse)`: system calls and
sends of the server for each event (strace), bytes on the socket, and events a second.

Batches are added and taken in turn, in one thread: nothing waits, for waiting would cost both
the same. Linux, Python 3.
"""

from __future__ import division, print_function, unicode_literals

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from common import interpreter, report    # first: it knows where sse is
import sse

try:
    import gunicorn
except ImportError:
    gunicorn = None

HERE = os.path.dirname(os.path.abspath(__file__))

# Asked for by the application, to be found again in what strace wrote.
BEGIN, END = "/sse-wire-begin", "/sse-wire-end"

_CALL = re.compile(r"(\d+) +(\w+)\(")

SENDS = ("send", "sendto", "sendmsg", "write", "writev")
WAYS = ["lines", "stream"]
BATCHES = [1, 10, 100]


def by_lines(batches, batch):
    """As 1.x was used: a chunk for each line."""
    events = sse.Sse(default_retry=None)
    yield b": \n"
    os.path.exists(BEGIN)
    for _ in range(batches):
        for _ in range(batch):
            events.add_message("tick", "hello")
        for line in events:
            yield line.encode("utf-8")
    os.path.exists(END)


def by_stream(batches, batch):
    events = sse.Sse(default_retry=None)
    chunks = events.stream()
    yield next(chunks)
    os.path.exists(BEGIN)
    for _ in range(batches):
        for _ in range(batch):
            events.add_message("tick", "hello")
        yield next(chunks)
    os.path.exists(END)
    chunks.close()


def application(environ, start_response):
    """/WAY/BATCHES/BATCH"""
    way, batches, batch = environ["PATH_INFO"].strip("/").split("/")
    start_response("200 OK", list(sse.HEADERS))
    return (by_lines if way == "lines" else by_stream)(int(batches), int(batch))


def serve(listening):
    """Serve from the socket of that number by wsgiref."""
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

    class Quiet(WSGIRequestHandler):
        def log_message(self, *arguments):
            pass

    server = WSGIServer(("127.0.0.1", 0), Quiet, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=listening)
    server.server_name, server.server_port = server.socket.getsockname()
    server.setup_environ()
    server.set_app(application)
    server.serve_forever()


class Server(object):
    """A server in a process group of its own, ended with the block; traced if there is a log."""

    def __init__(self, name, log=None):
        self.socket = socket.create_server(("127.0.0.1", 0))
        number = self.socket.fileno()
        command = ["strace", "-f", "-o", log] if log else []
        if name == "wsgiref":
            command += [sys.executable, os.path.join(HERE, "wire.py"), "--serve", str(number)]
        else:
            command += [sys.executable, "-m", "gunicorn", "--log-level", "error",
                        "--chdir", HERE, "-b", "fd://%d" % number, "wire:application"]
        self.process = subprocess.Popen(command, pass_fds=[number], start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.socket.close()

    def get(self, way, batches, batch):
        """The bytes after the head, and the seconds from the first of them to the last."""
        client = socket.create_connection(self.socket.getsockname(), timeout=60)
        with client:
            client.sendall(("GET /%s/%d/%d HTTP/1.1\r\nHost: localhost\r\n"
                            "Connection: close\r\n\r\n" % (way, batches, batch)).encode("ascii"))
            received = b""
            while b"\r\n\r\n" not in received:
                received += read(client)
            size = len(received) - received.index(b"\r\n\r\n") - 4
            if not size:
                size = len(read(client))
            start = time.perf_counter()
            while True:
                piece = client.recv(65536)
                if not piece:
                    return size, time.perf_counter() - start
                size += len(piece)


def read(client):
    piece = client.recv(65536)
    if not piece:
        raise EOFError("the server closed the connection")
    return piece


def system_calls(log):
    """The names of the calls between BEGIN and END, in the thread that asked for those."""
    with open(log) as lines:
        thread, names = None, []
        for line in lines:
            call = _CALL.match(line)
            if not call:
                continue    # the second half of a call, a signal or an exit
            if BEGIN in line:
                thread = call.group(1)
            elif END in line:
                return names
            elif call.group(1) == thread:
                names.append(call.group(2))
    raise EOFError("strace did not see the end")


def count(server, way, batch, events):
    """System calls and sends for each event."""
    folder = tempfile.mkdtemp()
    try:
        log = os.path.join(folder, "log")
        with Server(server, log) as traced:
            traced.get(way, events // batch, batch)
        names = system_calls(log)
    finally:
        shutil.rmtree(folder)
    return len(names) / events, sum(name in SENDS for name in names) / events


def measure(server, quick):
    few, many, rounds = (200, 1000, 1) if quick else (1000, 20000, 5)
    rows = []
    for batch in BATCHES:
        pair = [{"server": server, "batch": batch, "way": way, "speed": 0} for way in WAYS]
        for row in pair:
            if shutil.which("strace"):
                row["calls"], row["sends"] = count(server, row["way"], batch, few)
        with Server(server) as running:
            for _ in range(rounds):
                for row in pair:
                    size, seconds = running.get(row["way"], many // batch, batch)
                    row["bytes"] = size / many
                    row["speed"] = max(row["speed"], many / seconds)
        rows += pair
    return rows


def show(result):
    print("# " + result["interpreter"])
    for problem in result["missing"]:
        print("# missing: " + problem)
    rule = "  ".join("=" * width for width in (8, 5, 6, 12, 6, 6, 14))
    form = "%-8s  %5s  %-6s  %12s  %6s  %6s  %14s"
    print("\nFor each event.\n\n" + rule)
    print(form % ("server", "batch", "by", "system calls", "sends", "bytes", "events/second"))
    print(rule)
    for row in result["rows"]:
        print(form % (row["server"], row["batch"], row["way"],
                      "%.2f" % row["calls"] if "calls" in row else "-",
                      "%.2f" % row["sends"] if "sends" in row else "-",
                      "%.1f" % row["bytes"], "%d" % row["speed"]))
    print(rule)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--quick", action="store_true", help="few events, for CI")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        serve(arguments.serve)
        return
    servers, missing = ["wsgiref"], []
    if gunicorn:
        servers.append("gunicorn")
    else:
        missing.append("gunicorn")
    if not shutil.which("strace"):
        missing.append("strace, which counts the system calls")
    result = {
        "interpreter": interpreter(),
        "gunicorn": gunicorn and gunicorn.__version__,
        "missing": missing,
        "rows": [row for server in servers for row in measure(server, arguments.quick)],
    }
    report(result, arguments, show)


if __name__ == "__main__":
    main()
