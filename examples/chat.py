"""A chat for many browsers in one process.

    python examples/chat.py [--host 127.0.0.1] [--port 8000]

    GET /           the page
    GET /events     the event stream: the latest messages, or those after Last-Event-ID, and
                    then whatever is said
    POST /say       {"name": ..., "text": ...}; 204

Messages are numbered, and the number is the id of the event. Ctrl-C ends the server.
"""

from __future__ import print_function

import argparse
import collections
import json
import os
import socket
import sys
import threading
import time
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer, make_server

try:
    from socketserver import ThreadingMixIn
except ImportError:     # Python 2
    from SocketServer import ThreadingMixIn

from sse import HEADERS, Sse, last_event_id

HISTORY = 50                # messages that a newcomer gets
MAX_NAME, MAX_TEXT = 40, 2000
MAX_BODY = 64 * 1024
MAX_PENDING = 2 * 1024 * 1024   # bytes: more than the history of the longest messages
TIMEOUT = 30                # seconds for a client to take what is sent, and to ask


class Refused(Exception):
    """An answer other than the one that was asked for: a status, and why."""


class Chat(object):
    """The WSGI application, with the latest messages and the open streams."""

    def __init__(self):
        self.lock = threading.Lock()
        self.number = int(time.time() * 1000)   # above all those of an earlier run
        self.messages = collections.deque(maxlen=HISTORY)
        self.streams = set()

    # The fan-out: an Sse for each browser, and a call to add to them all.

    def send(self, event, value, event_id=None):
        for sse in list(self.streams):
            try:
                sse.add_json(event, value, event_id)
            except BufferError:
                sse.close()     # it does not read, and can come back for the rest
                self.streams.discard(sse)
            except ValueError:
                pass            # closed: it is about to go

    def say(self, name, text):
        with self.lock:
            self.number += 1
            message = {"name": name, "text": text, "time": int(time.time() * 1000)}
            self.messages.append((self.number, message))
            self.send("message", message, self.number)

    def follow(self, after):
        """The stream of a browser that had the message `after` last, or of a new one."""
        sse = Sse(max_pending=MAX_PENDING)
        try:
            # Under the lock, so that no message falls between the history and the future.
            with self.lock:
                for number, message in self.messages:
                    if after is None or number > after:
                        sse.add_json("message", message, number)
                self.streams.add(sse)
                self.send("people", len(self.streams))
            for chunk in sse.stream():
                yield chunk
        finally:
            with self.lock:
                self.streams.discard(sse)
                self.send("people", len(self.streams))

    def __call__(self, environ, start_response):
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        status, kind, body, more = "200 OK", "text/html", PAGE, []
        allowed = {"/": ("GET", "HEAD"), "/events": ("GET", "HEAD"), "/say": ("POST",)}.get(path)
        try:
            if allowed is None:
                raise Refused("404 Not Found", "there is /, /events and /say")
            if method not in allowed:
                more = [("Allow", ", ".join(allowed))]
                raise Refused("405 Method Not Allowed", "use " + allowed[0])
            if path == "/say":
                self.say(*said(environ))
                status, body = "204 No Content", b""
            elif path == "/events":
                after = last_event_id(environ) or ""
                start_response(status, list(HEADERS))
                if method == "HEAD":
                    return []
                return self.follow(int(after) if after.isdigit() else None)
        except Refused as refused:
            status, kind = refused.args[0], "text/plain"
            body = (refused.args[1] + "\n").encode("utf-8")
        if status != "204 No Content":
            more += [("Content-Type", kind + "; charset=utf-8"), ("Content-Length", str(len(body)))]
        start_response(status, more + [("Cache-Control", "no-store")])
        return [] if method == "HEAD" else [body]


def said(environ):
    """The name and the text of a request, checked."""
    length = environ.get("CONTENT_LENGTH") or ""
    if not length.isdigit():
        raise Refused("411 Length Required", "Content-Length is missing")
    if int(length) > MAX_BODY:
        raise Refused("413 Content Too Large", "the body is over %d bytes" % MAX_BODY)
    try:
        value = json.loads(environ["wsgi.input"].read(int(length)).decode("utf-8"))
        name, text = value["name"], value["text"]
    except (ValueError, TypeError, KeyError):
        raise Refused("400 Bad Request", "the body must be JSON, an object of name and text")
    for what, part, most in [("name", name, MAX_NAME), ("text", text, MAX_TEXT)]:
        if not isinstance(part, type(u"")) or not 0 < len(part.strip()) <= len(part) <= most:
            raise Refused("400 Bad Request", "%s must be text of 1 to %d characters" % (what, most))
    return name.strip(), text


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


def main():
    parser = argparse.ArgumentParser(description="A chat in one process.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0: any that is free")
    options = parser.parse_args()
    chat = Chat()
    try:
        server = make_server(options.host, options.port, chat, Server, Handler)
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


PAGE = br"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport"
      content="width=device-width, initial-scale=1, interactive-widget=resizes-content">
<meta name="color-scheme" content="light dark">
<title>Chat</title>
<link rel="icon" href="data:,">
<style>
  :root {
    --paper: #f7f5f0; --ink: #22211f; --soft: #6a665e; --line: #e0dcd2; --live: #0b7a6b;
    --late: #b4540a; --card: #fffdf9; --own: #dcefe9;
  }
  @media (prefers-color-scheme: dark) {
    :root {
      --paper: #14161a; --ink: #ece9e2; --soft: #9c988f; --line: #2c2f35; --live: #4fd1b8;
      --late: #f5a54a; --card: #1b1e23; --own: #17352f;
    }
  }
  * { box-sizing: border-box }
  html, body { height: 100% }
  body {
    margin: 0 auto; max-width: 46rem; display: flex; flex-direction: column; padding: 0 1.25rem;
    background: var(--paper); color: var(--ink);
    font: 16px/1.5 "Avenir Next", "Segoe UI", system-ui, -apple-system, "Helvetica Neue",
      "Liberation Sans", sans-serif;
    -webkit-text-size-adjust: 100%;
  }
  header, form { display: flex; gap: .6rem; align-items: center; padding: 1rem 0 }
  header { justify-content: space-between; border-bottom: 1px solid var(--line) }
  h1 { font-size: 1rem; font-weight: 600; margin: 0 }
  #state { color: var(--soft) }
  #state::before {
    content: ""; display: inline-block; width: .55em; height: .55em; margin-right: .5em;
    border-radius: 50%; background: var(--late);
  }
  .open #state::before { background: var(--live) }
  ol {
    flex: 1; overflow-y: auto; list-style: none; margin: 0; padding: 1rem 0; display: flex;
    flex-direction: column; gap: .9rem; overscroll-behavior: contain;
  }
  ol::before { content: ""; margin-top: auto }
  #empty { color: var(--soft); text-align: center }
  li { max-width: 85%; align-self: flex-start }
  li small { display: block; color: var(--soft); padding: 0 .25rem .1rem }
  li small b { color: var(--ink); font-weight: 600; padding-right: .5rem }
  li p {
    margin: 0; padding: .5rem .85rem; background: var(--card); border: 1px solid var(--line);
    border-radius: .35rem 1rem 1rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere;
  }
  li.own { align-self: flex-end; text-align: right }
  li.own p {
    background: var(--own); border-color: transparent; border-radius: 1rem .35rem 1rem 1rem;
    text-align: left;
  }
  form { border-top: 1px solid var(--line) }
  input, textarea, button { font: inherit; color: inherit; border-radius: .6rem }
  input, textarea {
    border: 1px solid var(--line); background: var(--card); padding: .55rem .8rem; min-width: 0;
  }
  #name { width: 8rem }
  #text { flex: 1; resize: none; height: 2.75rem }
  button {
    font-weight: 600; color: var(--paper); background: var(--ink); border: 0; cursor: pointer;
    padding: .6rem 1.1rem;
  }
  button:disabled { opacity: .35; cursor: default }
  :focus-visible { outline: 2px solid var(--live); outline-offset: 2px }
  #answer { color: var(--late); min-height: 1.5em; margin: -.6rem 0 .4rem }
  @media (max-width: 30rem) { form { flex-wrap: wrap } #name { width: 100% } }
</style>
<body>
<header><h1>Chat</h1><span id="state" role="status">Connecting</span></header>
<ol id="messages" aria-live="polite"><li id="empty">Nobody has said anything yet.</li></ol>
<form id="say">
  <input id="name" placeholder="Your name" aria-label="Your name" maxlength="40" required>
  <textarea id="text" placeholder="Message" aria-label="Message" maxlength="2000"
            required></textarea>
  <button>Send</button>
</form>
<p id="answer" role="alert"></p>
<noscript>This page needs JavaScript.</noscript>
<script>
"use strict";
const $ = id => document.getElementById(id);
const source = new EventSource("events");
let people = 1;

$("name").value = sessionStorage.getItem("name") || "";
($("name").value ? $("text") : $("name")).focus();

function make(parent, tag, text) {
  // As text: what others write is never markup.
  const element = parent.appendChild(document.createElement(tag));
  element.textContent = text;
  return element;
}

source.addEventListener("message", event => {
  const message = JSON.parse(event.data), list = $("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  if ($("empty")) $("empty").remove();
  const item = make(list, "li", "");
  item.id = "m" + event.lastEventId;
  const own = message.name === $("name").value;
  item.className = own ? "own" : "";
  const small = make(item, "small", "");
  if (!own) make(small, "b", message.name);
  small.append(new Date(message.time).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"}));
  make(item, "p", message.text);
  if (atEnd || own) list.scrollTop = list.scrollHeight;
});

function show() {
  const open = source.readyState === EventSource.OPEN;
  document.body.className = open ? "open" : "";
  $("state").textContent = open ? (people === 1 ? "Only you are here" : `${people} are here`)
    : source.readyState === EventSource.CLOSED ? "Closed: reload the page" : "Coming back";
}
source.addEventListener("people", event => { people = JSON.parse(event.data); show() });
source.onopen = source.onerror = show;

$("say").onsubmit = async submitted => {
  submitted.preventDefault();
  const name = $("name").value.trim(), text = $("text").value;
  if (!text.trim()) return;
  sessionStorage.setItem("name", name);
  const button = $("say").querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch("say", {method: "POST", body: JSON.stringify({name, text})});
    $("answer").textContent = answer.ok ? "" : await answer.text();
    if (answer.ok) $("text").value = "";
  } catch (error) {
    $("answer").textContent = "The server cannot be reached: try again.";
  }
  button.disabled = false;
  $("text").focus();
};

$("text").onkeydown = event => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("say").requestSubmit();
  }
};
</script>
"""


if __name__ == "__main__":
    main()
