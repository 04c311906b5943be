"""The application that the servers under test run: event streams, under control over HTTP.

Python itself runs this file as a server with wsgiref.
"""

import json
import sys
from wsgiref import validate

import sse
from control import query, serve_control, server

STREAMS = {}
CHANNEL = sse.Channel(history=10)


def application(environ, start_response):
    """A stream under the name of the path: an `Sse` that is called, or with a query `stream`.

    keepalive=SECONDS is for it; with empty=yes nothing waits in it; with headers=plain only
    the type says what it is. /channel: a stream of the channel.
    """
    if environ["PATH_INFO"] == "/channel":
        return CHANNEL(environ, start_response)
    asked = query(environ)
    stream = STREAMS[environ["PATH_INFO"]] = (
        sse.Sse(default_retry=None) if "empty" in asked else sse.Sse())
    if not asked:
        return stream(environ, start_response)
    headers = sse.HEADERS[:1] if asked.get("headers") == "plain" else sse.HEADERS
    keepalive = float(asked["keepalive"]) if "keepalive" in asked else None
    start_response("200 OK", list(headers))
    return stream.stream(keepalive)


validated = validate.validator(application)


def control(environ, start_response):
    """/add, /close and /closed for the stream that is named in the query; /forget for all.

    A text is added first, also by /close. /publish, and how many streams of the channel are open.
    """
    asked = query(environ)
    stream = STREAMS.get(asked.get("stream"))
    action = environ["PATH_INFO"]
    answer = None
    if "text" in asked and action != "/publish":
        stream.add_message("added", asked["text"])
    if action == "/close":
        stream.close()
    elif action == "/closed":
        answer = stream and stream.closed
    elif action == "/publish":
        CHANNEL.add_message("published", asked["text"])
        answer = len(CHANNEL.streams)
    elif action == "/forget":
        for stream in list(STREAMS.values()):
            stream.close()
        STREAMS.clear()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode("ascii")]


serve_control(control)

if __name__ == "__main__":
    server(sys.argv[1], globals()[sys.argv[2]]).serve_forever()
