"""What the examples on the standard library's server share: pages, answers, and the server.

    serve(__doc__, {"GET /": page("clock.html"), "GET /events": channel})

It has a thread for each request, and Ctrl-C ends it at once, with all open streams.
"""

from __future__ import print_function

import argparse
import io
import os
import socket
import sys
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer, make_server

from six.moves.socketserver import ThreadingMixIn

HERE = os.path.dirname(os.path.abspath(__file__))
MAX_BODY = 64 * 1024


def page(name, kind="text/html"):
    """The WSGI application that answers with the file of this name beside this one."""
    def application(environ, start_response):
        with io.open(os.path.join(HERE, name), "rb") as file:
            return respond(environ, start_response, "200 OK", file.read(), kind)
    return application


def respond(environ, start_response, status, body=b"", kind="text/plain", more=()):
    start_response(status, [
        ("Content-Type", kind + "; charset=utf-8"), ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store")] + list(more))
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def read_body(environ):
    """What the client sent, up to MAX_BODY. `ValueError` if it does not say how long that is."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    return environ["wsgi.input"].read(max(0, min(length, MAX_BODY)))


def routed(routes):
    """One WSGI application from many, each with its "METHOD /path". HEAD goes where GET goes."""
    def application(environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        allowed = [route.split()[0] for route in routes if route.split()[1] == path]
        found = routes.get("%s %s" % ("GET" if method == "HEAD" else method, path))
        if found:
            return found(environ, start_response)
        if allowed:
            return respond(environ, start_response, "405 Method Not Allowed",
                           more=[("Allow", ", ".join(allowed).replace("GET", "GET, HEAD"))])
        return respond(environ, start_response, "404 Not Found")
    return application


class Response(ServerHandler):

    def handle_error(self):
        # A client that disconnected, or did not read for `timeout` seconds, is not an error.
        if not isinstance(sys.exc_info()[1], socket.error):
            ServerHandler.handle_error(self)


class Handler(WSGIRequestHandler):
    timeout = 30

    def handle(self):
        self.raw_requestline = self.rfile.readline(65537)
        if self.parse_request():
            response = Response(self.rfile, self.wfile, self.get_stderr(), self.get_environ())
            response.request_handler = self
            response.run(self.server.get_app())

    def address_string(self):
        return self.client_address[0]   # Python 2 would look up its name, and wait

    def log_message(self, *_):
        pass


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], socket.error):
            WSGIServer.handle_error(self, request, client_address)


def options(doc):
    """The command line's --host and --port."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0: any that is free")
    return parser.parse_args()


def serve(doc, routes):
    given = options(doc)
    routes = dict(routes, **{"GET /style.css": page("style.css", "text/css")})
    try:
        server = make_server(given.host, given.port, routed(routes), Server, Handler)
    except (socket.error, OverflowError, UnicodeError) as error:
        sys.exit("cannot serve on %s:%d: %s" % (
            given.host, given.port, getattr(error, "strerror", None) or error))
    print("http://%s:%d/" % (given.host, server.server_port))
    sys.stdout.flush()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        # At once: in a normal exit Python 2 lets the threads of open streams print errors.
        os._exit(0)
