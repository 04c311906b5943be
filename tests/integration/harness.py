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
from control import query, serve_control

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                      os.pardir, os.pardir, "examples", "frameworks")

CHANNELS = []
NEXT = []           # the arguments of /next
STREAMS = {}        # those that were opened, by the names that /next gave
NOTES = []          # of producers


class Channel(sse.Channel):
    def __init__(self, *args, **kwargs):
        super(Channel, self).__init__(*args, **kwargs)
        CHANNELS.append(self)

    def open(self, request=None):
        stream = super(Channel, self).open(request)
        if NEXT:
            asked = NEXT.pop()
            STREAMS[asked.pop("name")] = stream
            if "keepalive" in asked:
                asked["keepalive"] = float(asked["keepalive"])
            kind = asked.pop("kind")
            if "producer" in asked:
                asked["producer"] = PRODUCERS[asked["producer"]]
            setattr(stream, kind, functools.partial(getattr(stream, kind), **asked))
        return stream


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


def fill(stream):
    """Add 60 kB again and again, until the server is blocked sending them or has 12 MB."""
    for number in range(200):
        stream.add_message("big", "x" * 60000)
        for _ in range(100):
            if not bytes(stream):
                break
            threading.Event().wait(0.01)
        else:
            return True
    return False


def control(environ, start_response):
    """/next: the name of the stream that is opened next, its `kind` and its arguments.

    /add: a message with this text (or of this size), for one stream or all; /close after it;
    /fill; /state of a stream, or the number of all; /collect: the garbage; /notes.
    """
    asked = query(environ)
    action = environ["PATH_INFO"]
    name = asked.get("stream")
    channel = CHANNELS[0]
    target = STREAMS.get(name) if name else channel
    answer = None
    if "text" in asked:
        text = asked["text"] + " " + "x" * int(asked.get("size", 0))
        target.add_message("added", text.strip(), event_id=asked.get("id"))
    if action == "/next":
        NEXT[:] = [asked]
    elif action == "/close":
        target.close()
    elif action == "/fill":
        answer = fill(target)
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


sse.Channel = Channel
# A collection comes when a test asks for one.
gc.disable()
sys.path.insert(0, FOLDER)
app = importlib.import_module(os.environ["APPLICATION"]).app
serve_control(control)
