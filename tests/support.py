"""What several test files need."""

from __future__ import unicode_literals

import contextlib
import inspect
import itertools
import re
import sys
import threading

import pytest
from six.moves import queue

from spec_decoder import decode
from sse import Channel, Sse

SOURCE = Sse.close.__code__.co_filename
COMMENT = b": \n"
FOREVER = 60
PENDING = b"event: before\ndata: x\n\nid: pending\n\n"


def rows(*table):
    """Rows whose first column is their name, as values that lie have no usable repr."""
    return [pytest.param(*row[1:], id=str(row[0])) for row in table]


@contextlib.contextmanager
def refused(error, words=(), new=None):
    """An `Sse` with a message and a pending id, for one call that has to raise just `error`.

    Nothing has changed after it, and the next message arrives.
    """
    sse = Sse(**({"default_retry": None} if new is None else new))
    sse.add_message("before", "x")
    sse.set_event_id("pending")
    assert bytes(sse) == PENDING
    with pytest.raises(Exception) as caught:
        yield sse
    assert caught.type is error
    message = str(caught.value)
    for word in words:
        assert word in message
    assert "secret" not in message
    assert len(message) < 120
    assert message.encode("ascii")
    assert bytes(sse) == PENDING
    sse.add_message("after", "y")
    wire = sse.data_to_send()
    assert wire == b"event: before\ndata: x\n\nevent: after\ndata: y\nid: pending\n\n"
    assert decode(wire).events == [("before", "x", ""), ("after", "y", "pending")]
    assert bytes(sse) == b""


def silent(**options):
    """A channel whose streams begin with nothing."""
    return Channel(default_retry=None, **options)


def log(channel):
    """What a channel holds, to be replaced by what interrupts it."""
    return channel._Channel__sse_log


class Reader(object):
    """A thread that reads a stream; `get` waits for its next chunk."""

    def __init__(self, stream):
        self.chunks = queue.Queue()
        self.thread = threading.Thread(target=self.read, args=(stream,))
        self.thread.daemon = True
        self.thread.start()

    def read(self, stream):
        for chunk in stream:
            self.chunks.put(chunk)
        self.chunks.put(None)

    def get(self, seconds=FOREVER):
        try:
            return self.chunks.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError("the stream gave nothing for %g seconds" % seconds)

    def nothing_for(self, seconds):
        with pytest.raises(AssertionError, match="gave nothing"):
            self.get(seconds)
        return True


class Threads(object):
    """Threads whose errors are raised by `join`."""

    def __init__(self):
        self.errors = []
        self.threads = []

    def start(self, function, *arguments):
        def run():
            try:
                function(*arguments)
            except Exception as error:
                self.errors.append(error)
        thread = threading.Thread(target=run)
        thread.daemon = True
        self.threads.append(thread)
        thread.start()
        return thread

    def join(self):
        for thread in self.threads:
            thread.join(FOREVER)
            assert not thread.is_alive(), "a thread did not end in %d seconds" % FOREVER
        assert self.errors == []


def at_lines(frame, event):
    return event == "line"


def at_calls(frame, event):
    return event == "call"


GUARDED = {}


def where_it_may_raise(frame, event):
    """Not in a `finally`, nor at the end of a `with`, for which nothing can be done."""
    code = frame.f_code
    if code not in GUARDED:
        GUARDED[code] = re.search(r"\bwith |finally:", inspect.getsource(code))
    return event != "line" or not GUARDED[code]


class Moment(object):
    """A context in which `act()` is called once: the Nth time that sse.py comes by such a place."""

    def __init__(self, number, wanted=at_lines):
        self.left = number
        self.wanted = wanted

    def __call__(self, act):
        self.act = act
        return self

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self.trace)

    def __exit__(self, *error):
        sys.settrace(self.before)

    def trace(self, frame, event, argument):
        if frame.f_code.co_filename != SOURCE:
            return None
        if self.left and self.wanted(frame, event):
            self.left -= 1
            if not self.left:
                self.act()
        return self.trace


def moments(wanted=at_lines):
    """For each such place that is passed in the body of the loop a `Moment`; and one without."""
    for number in itertools.count(1):
        moment = Moment(number, wanted)
        yield moment
        if moment.left:
            assert number > 1
            return


# Without these there is no object, no isinstance, and from Python 3.12 on no bytes to join.
NEEDED = ["__class__", "__new__", "__init__", "__getattribute__", "__init_subclass__",
          "__subclasshook__", "__del__", "__dict__", "__doc__"]


def lying(kind, answer):
    """A subclass of `kind` on which every method gives what `answer(name)` gives."""
    def method(name):
        return lambda *args, **kwargs: answer(name)

    names = [name for name in dir(kind) + ["__bool__", "__nonzero__", "__radd__", "__format__"]
             if name not in NEEDED and name not in ("real", "imag", "numerator", "denominator")]
    return type(str("Lying"), (kind,), dict((str(name), method(name)) for name in names))


EVIL = {
    "__len__": 0, "__bool__": False, "__nonzero__": False, "__eq__": True, "__ne__": False,
    "__hash__": 0, "__contains__": False, "__iter__": iter(()), "__int__": 10 ** 6,
    "__index__": 10 ** 6, "__add__": 10 ** 6, "__lt__": False, "__le__": True, "__ge__": True,
    "__gt__": False, "split": ["evil"], "splitlines": ["evil"],
    "encode": b"evil\n\ndata: evil", "decode": "evil\n\nevil",
    "__str__": str("evil\n\ndata: evil"), "__unicode__": "evil\n\ndata: evil",
    "__repr__": str("evil"), "__bytes__": b"evil\n\n",
}


def evil(name):
    """An answer for `lying`: where it is believed, something that nobody wrote is sent."""
    return EVIL.get(name, "evil\n\ndata: evil")


def forbidden(name):
    """An answer for `lying`: nothing may ask."""
    raise AssertionError("%s was called" % name)
