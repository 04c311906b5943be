"""A page on which the server's clock ticks, and which misses no tick when the connection breaks.

    python examples/clock.py [--host 127.0.0.1] [--port 8000]

    GET /               the page
    GET /events?NAME    the event stream, from now on or after Last-Event-ID
    GET /drop?NAME      ends the streams of that name: each page makes one up for itself

Ticks are numbered, and the number is the id of the event. Ctrl-C ends the server.
"""

import collections
import threading
import time
import uuid

import server
from sse import HEADERS, Sse, last_event_id

HISTORY = 600               # ticks that a client can have missed and still gets
MAX_PENDING = 64 * 1024     # bytes: more than the history


class Clock(object):
    """The WSGI application, with the latest ticks and the open streams."""

    def __init__(self):
        self.run = uuid.uuid4().hex     # tells this numbering from that of another run
        self.lock = threading.Lock()
        self.number = 0
        self.ticks = collections.deque(maxlen=HISTORY)
        self.streams = {}               # Sse: the name that its page gave it
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.tick_on)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()
        for sse in list(self.streams):
            sse.close()

    def tick_on(self):
        # 20 ms late: who wakes a little early must not tick in the second before.
        while not self.stopped.wait(1.02 - time.time() % 1):
            self.tick(time.strftime("%Y-%m-%dT%H:%M:%S"))

    def tick(self, now):
        """Number a tick, keep it, and send it to all."""
        with self.lock:
            self.number += 1
            self.ticks.append((self.number, now))
            for sse in list(self.streams):
                try:
                    sse.add_message("tick", now, event_id=self.number)
                except BufferError:
                    sse.close()     # it does not read, and can come back for the rest
                except ValueError:
                    pass            # closed: it is about to go

    def follow(self, name, after):
        """The stream of a client that had the tick `after` last, or of a new one."""
        sse = Sse(max_pending=MAX_PENDING)
        try:
            # Under the lock, so that no tick falls between the history and the future.
            with self.lock:
                ticks = list(self.ticks)
                numbers = [str(number) for number, _ in ticks]
                known = after in numbers
                ticks = ticks[numbers.index(after) + 1:] if known else ticks[-60:]
                sse.add_json("hello", {"run": self.run, "after": int(after) if known else None,
                                       "until": self.number})
                for number, now in ticks:
                    sse.add_message("tick", now, event_id=number)
                self.streams[sse] = name
            for chunk in sse.stream():
                yield chunk
        finally:
            self.streams.pop(sse, None)

    def drop(self, name):
        """Whether there was such a stream to end."""
        dropped = [sse for sse, other in list(self.streams.items()) if other == name]
        for sse in dropped:
            sse.close()
        return bool(dropped)

    def __call__(self, environ, start_response):
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        name = environ.get("QUERY_STRING", "")
        status, kind, body, more = "200 OK", "text/plain", b"", []
        if path not in ("/", "/events", "/drop"):
            status, body = "404 Not Found", b"there is /, /events and /drop\n"
        elif method not in ("GET", "HEAD"):
            status, body = "405 Method Not Allowed", b"use GET\n"
            more = [("Allow", "GET, HEAD")]
        elif path == "/":
            kind, body = "text/html", PAGE
        elif path == "/drop":
            if method == "GET" and not (name and self.drop(name)):
                status, body = "404 Not Found", b"there is no stream of that name\n"
        else:
            start_response(status, list(HEADERS))
            return self.follow(name, last_event_id(environ)) if method == "GET" else []
        start_response(status, [
            ("Content-Type", kind + "; charset=utf-8"), ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store")] + more)
        return [] if method == "HEAD" else [body]


PAGE = server.page("clock.html")


if __name__ == "__main__":
    with Clock() as clock:
        server.main(clock, "The server's clock, in a page.")
