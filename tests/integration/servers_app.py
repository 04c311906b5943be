"""The application that the servers under test run: event streams, under control over HTTP.

The control has a port and a thread of its own, so that it also answers where the server's
one worker is busy with a stream. Python itself runs this file as a server with wsgiref.
"""

import json
import os
import sys
import threading
from wsgiref import simple_server, validate

from six.moves import socketserver
from six.moves.urllib.parse import parse_qs

import sse

STREAMS = {}


def query(environ):
    return {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}


def application(environ, start_response):
    """A stream under the name of the path: an `Sse` that is called, or with a query `stream`.

    keepalive=SECONDS is for it; with empty=yes nothing waits in it; with headers=plain only
    the type says what it is.
    """
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

    A text is added first, also by /close.
    """
    asked = query(environ)
    stream = STREAMS.get(asked.get("stream"))
    action = environ["PATH_INFO"]
    answer = None
    if "text" in asked:
        stream.add_message("added", asked["text"])
    if action == "/close":
        stream.close()
    elif action == "/closed":
        answer = stream and stream.closed
    elif action == "/forget":
        for stream in list(STREAMS.values()):
            stream.close()
        STREAMS.clear()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode("ascii")]


class Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 100


class Handler(simple_server.WSGIRequestHandler):
    def log_message(self, *_):
        pass


def server(port, app):
    return simple_server.make_server("127.0.0.1", int(port), app, Server, Handler)


def serve_control():
    thread = threading.Thread(
        target=server(os.environ["CONTROL_PORT"], control).serve_forever)
    thread.daemon = True
    thread.start()


serve_control()

if __name__ == "__main__":
    server(sys.argv[1], globals()[sys.argv[2]]).serve_forever()
