"""A chat for many browsers.

    pip install . && python examples/chat.py        # --host, --port

    GET /           the page
    GET /events     the event stream: the latest messages, or those after Last-Event-ID, then
                    what is said; and how many are online
    POST /say       {"name": ..., "text": ...}
"""

import json
import threading
import time

from server import page, read_body, respond, serve
from sse import HEADERS, Channel, Closed, last_event_id

MAX_NAME, MAX_TEXT = 40, 2000

channel = Channel(history=50)
counting = threading.Lock()


def count():
    """Tell everybody how many are online: to each stream, since the history must not keep it."""
    with counting:
        streams = channel.streams
        for sse in streams:
            try:
                sse.add_json("online", len(streams))
            except (Closed, BufferError):
                pass


def events(environ, start_response):
    start_response("200 OK", list(HEADERS))
    if environ["REQUEST_METHOD"] == "HEAD":
        return
    # A new browser gets all of the history, as one does whose last event ID is not known.
    sse = channel.open(last_event_id(environ) or "new")
    count()
    try:
        # Only a write shows that a browser disconnected: one every two seconds.
        for chunk in sse.stream(keepalive=2):
            yield chunk
    finally:
        sse.close()
        count()


def say(environ, start_response):
    try:
        said = json.loads(read_body(environ).decode("utf-8"))
        name, text = said["name"].strip(), said["text"]
        if not (0 < len(name) <= MAX_NAME and text.strip() and len(text) <= MAX_TEXT):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError):
        return respond(environ, start_response, "400 Bad Request", (
            "Say a name of 1 to %d characters and a text of 1 to %d.\n" % (MAX_NAME, MAX_TEXT)
        ).encode("ascii"))
    channel.add_json("message", {"name": name, "text": text, "time": int(time.time() * 1000)})
    return respond(environ, start_response, "202 Accepted")


if __name__ == "__main__":
    serve(__doc__, {"GET /": page("chat.html"), "GET /events": events, "POST /say": say})
