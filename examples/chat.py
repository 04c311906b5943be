"""A chat for many browsers in one process.

    python examples/chat.py [--host 127.0.0.1] [--port 8000]

    GET /           the page
    GET /events     the event stream: the latest messages, or those after Last-Event-ID, and
                    then whatever is said
    POST /say       {"name": ..., "text": ...}; 204

Messages are numbered, and the number is the id of the event. Ctrl-C ends the server.
"""

import collections
import json
import threading
import time

import server
from sse import HEADERS, Sse, last_event_id

HISTORY = 50                # messages that a newcomer gets
MAX_NAME, MAX_TEXT = 40, 2000
MAX_BODY = 64 * 1024
MAX_PENDING = 2 * 1024 * 1024   # bytes: more than the history of the longest messages


class Refused(Exception):
    """An answer other than the one that was asked for: a status, and why."""


class Chat(object):
    """The WSGI application, with the latest messages and the open streams."""

    def __init__(self):
        self.lock = threading.Lock()
        self.number = int(time.time() * 1000)   # above all those of an earlier run
        self.messages = collections.deque(maxlen=HISTORY)
        self.streams = set()

    # The fan-out: an Sse for each browser, and a call to add to them all.

    def send(self, event, value, event_id=None):
        for sse in list(self.streams):
            try:
                sse.add_json(event, value, event_id)
            except BufferError:
                sse.close()     # it does not read, and can come back for the rest
                self.streams.discard(sse)
            except ValueError:
                pass            # closed: it is about to go

    def say(self, name, text):
        with self.lock:
            self.number += 1
            message = {"name": name, "text": text, "time": int(time.time() * 1000)}
            self.messages.append((self.number, message))
            self.send("message", message, self.number)

    def follow(self, after):
        """The stream of a browser that had the message `after` last, or of a new one."""
        sse = Sse(max_pending=MAX_PENDING)
        try:
            # Under the lock, so that no message falls between the history and the future.
            with self.lock:
                for number, message in self.messages:
                    if after is None or number > after:
                        sse.add_json("message", message, number)
                self.streams.add(sse)
                self.send("people", len(self.streams))
            for chunk in sse.stream():
                yield chunk
        finally:
            with self.lock:
                self.streams.discard(sse)
                self.send("people", len(self.streams))

    def __call__(self, environ, start_response):
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        status, kind, body, more = "200 OK", "text/html", PAGE, []
        allowed = {"/": ("GET", "HEAD"), "/events": ("GET", "HEAD"), "/say": ("POST",)}.get(path)
        try:
            if allowed is None:
                raise Refused("404 Not Found", "there is /, /events and /say")
            if method not in allowed:
                more = [("Allow", ", ".join(allowed))]
                raise Refused("405 Method Not Allowed", "use " + allowed[0])
            if path == "/say":
                self.say(*said(environ))
                status, body = "204 No Content", b""
            elif path == "/events":
                after = last_event_id(environ) or ""
                start_response(status, list(HEADERS))
                if method == "HEAD":
                    return []
                return self.follow(int(after) if after.isdigit() else None)
        except Refused as refused:
            status, kind = refused.args[0], "text/plain"
            body = (refused.args[1] + "\n").encode("utf-8")
        if status != "204 No Content":
            more += [("Content-Type", kind + "; charset=utf-8"), ("Content-Length", str(len(body)))]
        start_response(status, more + [("Cache-Control", "no-store")])
        return [] if method == "HEAD" else [body]


def said(environ):
    """The name and the text of a request, checked."""
    length = environ.get("CONTENT_LENGTH") or ""
    if not length.isdigit():
        raise Refused("411 Length Required", "Content-Length is missing")
    if int(length) > MAX_BODY:
        raise Refused("413 Content Too Large", "the body is over %d bytes" % MAX_BODY)
    try:
        value = json.loads(environ["wsgi.input"].read(int(length)).decode("utf-8"))
        name, text = value["name"], value["text"]
    except (ValueError, TypeError, KeyError):
        raise Refused("400 Bad Request", "the body must be JSON, an object of name and text")
    for what, part, most in [("name", name, MAX_NAME), ("text", text, MAX_TEXT)]:
        if not isinstance(part, type(u"")) or not 0 < len(part.strip()) <= len(part) <= most:
            raise Refused("400 Bad Request", "%s must be text of 1 to %d characters" % (what, most))
    return name.strip(), text


PAGE = server.page("chat.html")


if __name__ == "__main__":
    server.main(Chat(), "A chat in one process.")
