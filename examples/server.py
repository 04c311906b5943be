"""What the examples share: their command line, pages, and a server of threads.

Made of the standard library, to look at the examples on this machine.
"""

from __future__ import print_function

import argparse
import os
import socket
import sys
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer, make_server

try:
    from socketserver import ThreadingMixIn
except ImportError:     # Python 2
    from SocketServer import ThreadingMixIn

TIMEOUT = 30                # seconds for a client to take what is sent, and to ask


def page(name):
    """The bytes of a page in this folder."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name), "rb") as file:
        return file.read()


def has_left(connection):
    """Whether the client has closed. A first write to it would succeed all the same."""
    connection.settimeout(0)
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except socket.error:
        return False
    finally:
        connection.settimeout(TIMEOUT)


class Response(ServerHandler):
    """One that is given up without a word when its client has left or does not read."""

    def _write(self, data):
        if has_left(self.request_handler.connection):
            raise socket.error("the client has left")
        ServerHandler._write(self, data)

    def handle_error(self):
        if isinstance(sys.exc_info()[1], socket.error):
            # Python 2 tries once more to send what is left: not for another TIMEOUT.
            self.request_handler.connection.settimeout(0)
        else:
            ServerHandler.handle_error(self)


class Handler(WSGIRequestHandler):
    timeout = TIMEOUT

    def handle(self):
        self.raw_requestline = self.rfile.readline(65537)
        if self.parse_request():
            response = Response(self.rfile, self.wfile, self.get_stderr(), self.get_environ())
            response.request_handler = self
            response.run(self.server.get_app())

    def finish(self):
        WSGIRequestHandler.finish(self)
        # To close with input unread would reset the connection, and the answer gets lost.
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(1)
        for _ in range(64):
            if not self.connection.recv(65536):
                break

    def address_string(self):
        return self.client_address[0]   # Python 2 would ask for its name, and wait

    def log_message(self, *_):
        pass


class Server(ThreadingMixIn, WSGIServer):
    """A thread for each request; those of open streams do not hold up the end."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], socket.error):
            WSGIServer.handle_error(self, request, client_address)


def main(application, description):
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0: any that is free")
    options = parser.parse_args()
    try:
        server = make_server(options.host, options.port, application, Server, Handler)
    except (socket.error, OverflowError, UnicodeError) as error:
        sys.exit("%s: cannot serve on %s:%d: %s" % (
            parser.prog, options.host, options.port, getattr(error, "strerror", None) or error))
    print("http://%s:%d/" % (options.host, server.server_port))
    sys.stdout.flush()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        # At once: in its long way out Python 2 has the threads of open streams print errors.
        os._exit(0)
