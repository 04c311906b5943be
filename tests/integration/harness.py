"""An application of examples/frameworks under test: APPLICATION names its module.

It is the file as it is, but for its `Channel`, which also does what a test asks for: over the
control (`control.py`), with the actions below.
"""

import functools
import gc
import importlib
import json
import os
import sys
import threading

import sse
from control import query, serve_control, server

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                      os.pardir, os.pardir, "examples", "frameworks")

CHANNELS = []
NEXT = []           # the arguments of /next
STREAMS = {}        # those that were opened, by the names that /next gave
NOTES = []          # of producers


# In the class itself: its methods look their class up under its name.
made, opened = sse.Channel.__init__, sse.Channel.open


def channel_made(self, *args, **kwargs):
    made(self, *args, **kwargs)
    CHANNELS.append(self)


def stream_opened(self, *args, **kwargs):
    stream = opened(self, *args, **kwargs)
    if NEXT:
        asked = NEXT.pop()
        STREAMS[asked["name"]] = stream
        kind = asked["kind"]
        setattr(stream, kind, functools.partial(begin, getattr(stream, kind), asked))
    return stream


def begin(method, asked, keepalive=15, producer=None):
    """`stream` or `astream`, as the application calls it, with what a test asks for."""
    if "keepalive" in asked:
        keepalive = float(asked["keepalive"])
    if "producer" in asked:
        wanted = PRODUCERS[asked["producer"]]
        producer = wanted if producer is None else PRODUCERS["both"](wanted, producer)
    return method(keepalive, producer)


def raises(stream):
    stream.add_message("produced", "one")
    raise RuntimeError("the producer failed")


def waits(stream):
    stream.add_message("produced", "one")
    try:
        while True:
            stream.add_comment()
            threading.Event().wait(0.05)
    except sse.Closed:
        NOTES.append("closed")
        raise


PRODUCERS = {"raises": raises, "waits": waits}


def taken(stream, seconds):
    """Whether the server takes all that is pending, within so many seconds."""
    for _ in range(int(seconds * 200)):
        if stream.closed or not bytes(stream):
            return True
        threading.Event().wait(0.005)
    return False


def fill(stream):
    """Add 60 kB to one again and again, until the server is blocked sending them or has 24 MB."""
    for _ in range(400):
        stream.add_message("big", "x" * 60000)
        if not taken(stream, 1):
            return True
    return False


def flood(channel, fast, slow, most):
    """Add 60 kB to all until `slow` is closed, but at most so many; the number of them.

    Not faster than `fast` is read.
    """
    for number in range(most):
        if slow.closed:
            return number
        channel.add_message("big", "%d %s" % (number, "x" * 60000))
        assert taken(fast, 30)
    return most


def control(environ, start_response):
    """/next: the name of the stream that is opened next, its `kind` and its arguments.

    /add: a message with this text, for one stream or all; /close after it; /fill; /flood;
    /state of a stream, or the number of all; /forget all; /collect: the garbage; /notes.
    """
    asked = query(environ)
    action = environ["PATH_INFO"]
    name = asked.get("stream")
    channel = CHANNELS[0]
    target = STREAMS.get(name) if name else channel
    answer = None
    if target is None and action != "/state":
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"no stream of this name was opened"]
    if "text" in asked:
        target.add_message("added", asked["text"], event_id=asked.get("id"))
    if action == "/next":
        NEXT[:] = [asked]
    elif action == "/close":
        target.close()
    elif action == "/forget":
        for stream in channel.streams:
            stream.close()
    elif action == "/fill":
        answer = fill(target)
    elif action == "/flood":
        answer = flood(channel, STREAMS[asked["fast"]], STREAMS[asked["slow"]],
                       int(asked["most"]))
    elif action == "/state":
        answer = (len(channel.streams) if not name else target and {
            "closed": target.closed, "open": target in channel.streams,
            "pending": len(bytes(target))})
    elif action == "/collect":
        gc.collect()
    elif action == "/notes":
        answer = NOTES
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode("ascii")]


sse.Channel.__init__, sse.Channel.open = channel_made, stream_opened
# A collection comes when a test asks for one.
gc.disable()
sys.path.insert(0, FOLDER)
app = importlib.import_module(os.environ["APPLICATION"]).app
serve_control(control)

if __name__ == "__main__":      # with the server of the standard library
    server(os.environ["PORT"], app).serve_forever()
