"""A chat with rooms, for many browsers.

    pip install . && python examples/chat.py        # --host, --port

    GET /           the page
    GET /events?room=ROOM&name=NAME&tab=TAB     the event stream: the room's latest messages, or
                    those after Last-Event-ID, then what is said and who is typing there; for all
                    who is in which room, and where something was said
    POST /say       {"room": ..., "name": ..., "text": ...}
    POST /typing    {"room": ..., "name": ...}
"""

import json
import re
import threading
import time

from presence import Presence
from server import page, read_body, respond, serve
from six import ensure_text
from six.moves.urllib.parse import parse_qsl
from sse import HEADERS, Channel, last_event_id

ROOMS = [u"Lobby", u"Music", u"Help"]
MAX_NAME, MAX_TEXT = 40, 2000

channel = Channel(history=200, default_retry=1000)
telling = threading.Lock()
places = {}         # of each browser tab: its room and its name, which may be empty


def tell(*_):
    """Tell everybody who is in which room."""
    with telling:
        for tab in list(places):
            if tab not in presence.seen and not channel.to("tab:%s" % tab).streams:
                del places[tab]
        channel.add_json("here", {"online": len(places), "rooms": [
            [room, sorted(set(name for at, name in places.values() if at == room and name))]
            for room in ROOMS]}, keep=False)


presence = Presence(channel, "tab:%s", tell, grace=5, every=1)


def events(environ, start_response):
    asked = dict((name, ensure_text(value, "utf-8", "replace").strip())
                 for name, value in parse_qsl(environ.get("QUERY_STRING", "")))
    room, name, tab = [asked.get(key, u"") for key in ("room", "name", "tab")]
    # Topics are never taken from a URL as they come.
    if room not in ROOMS or len(name) > MAX_NAME or not re.match("[0-9a-z]{1,20}$", tab):
        return respond(environ, start_response, "400 Bad Request")
    start_response("200 OK", list(HEADERS))
    if environ["REQUEST_METHOD"] == "HEAD":
        return []
    # A new browser gets all that is kept, as one does whose last event ID is not known.
    sse = channel.open(last_event_id(environ) or "new", ["room:" + room, "tab:" + tab])
    with telling:
        places[tab] = room, name
    presence.arrived(tab)
    tell()
    # Only a write shows that a browser disconnected: one every two seconds.
    return sse.stream(keepalive=2)


def posted(application):
    """With the room, the name and the text of a request, once they are checked."""
    def checked(environ, start_response):
        try:
            value = json.loads(read_body(environ).decode("utf-8"))
            room, name, text = value["room"], value["name"].strip(), value.get("text", u"")
            if not (room in ROOMS and 0 < len(name) <= MAX_NAME and len(text) <= MAX_TEXT):
                raise ValueError
            application(room, name, text)
        except (ValueError, TypeError, KeyError, AttributeError):
            return respond(environ, start_response, "400 Bad Request", (
                "Say a name of 1 to %d characters and a text of 1 to %d, in a room of %s.\n" % (
                    MAX_NAME, MAX_TEXT, ", ".join(ROOMS))).encode("ascii"))
        return respond(environ, start_response, "202 Accepted")
    return checked


@posted
def say(room, name, text):
    if not text.strip():
        raise ValueError
    channel.to("room:" + room).add_json(
        "message", {"name": name, "text": text, "time": int(time.time() * 1000)})
    channel.add_json("said", room, keep=False)


@posted
def typing(room, name, _):
    channel.to("room:" + room).add_json("typing", name, keep=False)


if __name__ == "__main__":
    serve(__doc__, {"GET /": page("chat.html"), "GET /events": events, "POST /say": say,
                    "POST /typing": typing})
