"""How a test controls the server under test: over HTTP, on a port of its own.

A thread of its own answers there, so that it also does where the server's one worker is busy
with a stream.
"""

import os
import threading
from wsgiref import simple_server

from six.moves import socketserver
from six.moves.urllib.parse import parse_qs


def query(environ):
    return {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}


class Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 100


class Handler(simple_server.WSGIRequestHandler):
    def log_message(self, *_):
        pass


def server(port, app):
    return simple_server.make_server("127.0.0.1", int(port), app, Server, Handler)


def serve_control(app):
    """Answer at CONTROL_PORT with `app`."""
    thread = threading.Thread(target=server(os.environ["CONTROL_PORT"], app).serve_forever)
    thread.daemon = True
    thread.start()
