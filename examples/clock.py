"""A page on which the server's clock ticks, and which misses no tick when the connection breaks.

    python examples/clock.py [--host 127.0.0.1] [--port 8000]

    GET /               the page
    GET /events?NAME    the event stream, from now on or after Last-Event-ID
    GET /drop?NAME      ends the streams of that name: each page makes one up for itself

Ticks are numbered, and the number is the id of the event. Ctrl-C ends the server.
"""

from __future__ import print_function

import argparse
import collections
import os
import socket
import sys
import threading
import time
import uuid
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer, make_server

try:
    from socketserver import ThreadingMixIn
except ImportError:     # Python 2
    from SocketServer import ThreadingMixIn

from sse import HEADERS, Sse, last_event_id

HISTORY = 600               # ticks that a client can have missed and still gets
MAX_PENDING = 64 * 1024     # bytes: more than the history
TIMEOUT = 30                # seconds for a client to take what is sent, and to ask


class Clock(object):
    """The WSGI application, with the latest ticks and the open streams."""

    def __init__(self):
        self.run = uuid.uuid4().hex     # tells this numbering from that of another run
        self.lock = threading.Lock()
        self.number = 0
        self.ticks = collections.deque(maxlen=HISTORY)
        self.streams = {}               # Sse: the name that its page gave it
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.tick_on)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()
        for sse in list(self.streams):
            sse.close()

    def tick_on(self):
        # 20 ms late: who wakes a little early must not tick in the second before.
        while not self.stopped.wait(1.02 - time.time() % 1):
            self.tick(time.strftime("%Y-%m-%dT%H:%M:%S"))

    def tick(self, now):
        """Number a tick, keep it, and send it to all."""
        with self.lock:
            self.number += 1
            self.ticks.append((self.number, now))
            for sse in list(self.streams):
                try:
                    sse.add_message("tick", now, event_id=self.number)
                except BufferError:
                    sse.close()     # it does not read, and can come back for the rest
                except ValueError:
                    pass            # closed: it is about to go

    def follow(self, name, after):
        """The stream of a client that had the tick `after` last, or of a new one."""
        sse = Sse(max_pending=MAX_PENDING)
        try:
            # Under the lock, so that no tick falls between the history and the future.
            with self.lock:
                ticks = list(self.ticks)
                numbers = [str(number) for number, _ in ticks]
                known = after in numbers
                ticks = ticks[numbers.index(after) + 1:] if known else ticks[-60:]
                sse.add_json("hello", {"run": self.run, "after": int(after) if known else None,
                                       "until": self.number})
                for number, now in ticks:
                    sse.add_message("tick", now, event_id=number)
                self.streams[sse] = name
            for chunk in sse.stream():
                yield chunk
        finally:
            self.streams.pop(sse, None)

    def drop(self, name):
        """Whether there was such a stream to end."""
        dropped = [sse for sse, other in list(self.streams.items()) if other == name]
        for sse in dropped:
            sse.close()
        return bool(dropped)

    def __call__(self, environ, start_response):
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        name = environ.get("QUERY_STRING", "")
        status, kind, body, more = "200 OK", "text/plain", b"", []
        if path not in ("/", "/events", "/drop"):
            status, body = "404 Not Found", b"there is /, /events and /drop\n"
        elif method not in ("GET", "HEAD"):
            status, body = "405 Method Not Allowed", b"use GET\n"
            more = [("Allow", "GET, HEAD")]
        elif path == "/":
            kind, body = "text/html", PAGE
        elif path == "/drop":
            if method == "GET" and not (name and self.drop(name)):
                status, body = "404 Not Found", b"there is no stream of that name\n"
        else:
            start_response(status, list(HEADERS))
            return self.follow(name, last_event_id(environ)) if method == "GET" else []
        start_response(status, [
            ("Content-Type", kind + "; charset=utf-8"), ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store")] + more)
        return [] if method == "HEAD" else [body]


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
    parser = argparse.ArgumentParser(description="The server's clock, in a page.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0: any that is free")
    options = parser.parse_args()
    clock = Clock()
    try:
        server = make_server(options.host, options.port, clock, Server, Handler)
    except (socket.error, OverflowError, UnicodeError) as error:
        sys.exit("%s: cannot serve on %s:%d: %s" % (
            parser.prog, options.host, options.port, getattr(error, "strerror", None) or error))
    try:
        with clock:
            print("http://%s:%d/" % (options.host, server.server_port))
            sys.stdout.flush()
            server.serve_forever()
    except KeyboardInterrupt:
        # At once: in its long way out Python 2 has the threads of open streams print errors.
        os._exit(0)


PAGE = br"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="theme-color" content="#f7f5f0" media="(prefers-color-scheme: light)">
<meta name="theme-color" content="#14161a" media="(prefers-color-scheme: dark)">
<title>Clock</title>
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'
 viewBox='0 0 16 16' fill='none' stroke='%230b7a6b' stroke-width='2' stroke-linecap='round'%3E
 %3Ccircle cx='8' cy='8' r='6.5'/%3E%3Cpath d='M8 4.5V8l2.5 1.5'/%3E%3C/svg%3E">
<style>
  :root {
    --paper: #f7f5f0; --ink: #22211f; --soft: #6a665e; --line: #e0dcd2; --live: #0b7a6b;
    --late: #b4540a; --card: #fffdf9;
  }
  @media (prefers-color-scheme: dark) {
    :root {
      --paper: #14161a; --ink: #ece9e2; --soft: #9c988f; --line: #2c2f35; --live: #4fd1b8;
      --late: #f5a54a; --card: #1b1e23;
    }
  }
  * { box-sizing: border-box }
  body {
    margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--paper);
    color: var(--ink); font: 16px/1.5 "Avenir Next", "Segoe UI", system-ui, -apple-system,
      "Helvetica Neue", "Liberation Sans", sans-serif;
    font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%;
  }
  main {
    display: grid; grid-template-columns: minmax(0, 27rem) minmax(0, 27rem); gap: 2rem 4.5rem;
    align-items: center; padding: 2rem;
  }
  svg { display: block; width: 100%; max-width: 27rem; margin: auto }
  svg text { text-anchor: middle; fill: var(--ink); font-variant-numeric: tabular-nums }
  #time { font-size: 64px; font-weight: 300; letter-spacing: -1px }
  #date, #number { font-size: 14px; fill: var(--soft) }
  #ring line { stroke: var(--line); stroke-width: 3.5; stroke-linecap: round }
  #ring .live { stroke: var(--live) }
  #ring .late { stroke: var(--late); opacity: 1 }
  #ring .awaited { stroke: var(--late); opacity: .4 }
  #ring .now { stroke-width: 6 }
  h1 { font-size: 1rem; font-weight: 600; margin: 0 }
  header { display: flex; justify-content: space-between; align-items: baseline; gap: 1rem }
  #state { color: var(--soft); white-space: nowrap }
  #state::before {
    content: ""; display: inline-block; width: .55em; height: .55em; margin-right: .5em;
    border-radius: 50%; background: var(--late);
  }
  .open #state::before { background: var(--live) }
  #count { font-size: 1.75rem; line-height: 1.25; font-weight: 300; margin: .75rem 0 1.25rem }
  button {
    font: inherit; font-weight: 600; color: var(--paper); background: var(--ink); border: 0;
    border-radius: .6rem; padding: .6rem 1.1rem; cursor: pointer; transition: opacity .2s;
  }
  button:hover { opacity: .85 }
  button:disabled { opacity: .35; cursor: default }
  :focus-visible { outline: 2px solid var(--live); outline-offset: 3px }
  #story { color: var(--soft); margin: .75rem 0 1.5rem; min-height: 4.5em }
  #story.back { color: var(--ink) }
  table { width: 100%; border-collapse: collapse; font-size: .875rem; table-layout: fixed }
  th { text-align: left; font-weight: 400; color: var(--soft); padding-bottom: .25rem }
  th:nth-child(1) { width: 4.5rem } th:nth-child(2) { width: 4.5rem }
  td {
    border-top: 1px solid var(--line); padding: .28rem 0; height: 2rem; white-space: nowrap;
    overflow: hidden; text-overflow: ellipsis;
    font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace;
    font-size: .8125rem;
  }
  td em { font-style: normal; color: var(--late); padding-left: .75rem }
  tr.late td:nth-child(2) { color: var(--late) }
  tr.hello td { color: var(--soft) }
  @media (max-width: 56rem) {
    main { grid-template-columns: minmax(0, 27rem); padding: 1.25rem; gap: 1.5rem }
    svg { max-width: 21rem }
    #story { min-height: 6em }
  }
  @media (prefers-reduced-motion: no-preference) {
    #ring line { transition: opacity .4s, stroke .4s, stroke-width .2s }
    tbody tr { animation: in .3s }
    @keyframes in { from { opacity: 0 } }
  }
</style>
<main>
  <svg viewBox="0 0 400 400" role="img" aria-label="The server's clock">
    <g id="ring"></g>
    <text id="date" x="200" y="144"></text>
    <text id="time" x="200" y="222">--:--:--</text>
    <text id="number" x="200" y="264"></text>
  </svg>
  <section>
    <header><h1>Server&rsquo;s clock</h1><span id="state" role="status">Connecting</span></header>
    <p id="count">Waiting for the first tick</p>
    <button id="drop" disabled>Drop the connection</button>
    <p id="story" role="status">The server will end the stream. The browser comes back by itself
      and says which tick it had last, and the server goes on from there.</p>
    <table>
      <thead><tr><th>event<th>id<th>data</thead>
      <tbody id="events"></tbody>
    </table>
  </section>
  <noscript>This page needs JavaScript.</noscript>
</main>
<script>
"use strict";
const $ = id => document.getElementById(id);
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const name = Array.from(crypto.getRandomValues(new Uint32Array(3)), n => n.toString(36)).join("");

const marks = Array.from({length: 60}, (_, second) => {
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  const long = second % 5 === 0 ? 22 : 14;
  for (const [key, value] of Object.entries({x1: 200, x2: 200, y1: 10, y2: 10 + long}))
    line.setAttribute(key, value);
  line.setAttribute("transform", `rotate(${second * 6} 200 200)`);
  return $("ring").appendChild(line);
});

let run, until, last, ticks, missed, second, comeback, lost, waiting;

function begin() {
  last = null; ticks = missed = 0;
  for (const mark of marks) mark.removeAttribute("class");
}

function count() {
  $("count").textContent =
    plural(ticks, "tick") + (missed ? `, ${missed} missed` : ", none missed");
}

function log(event, id, late) {
  const row = $("events").insertRow(0);
  row.className = event.type + (late ? " late" : "");
  for (const text of [event.type, id, event.data]) row.insertCell().textContent = text;
  if (late) row.lastChild.append(
    Object.assign(document.createElement("em"), {textContent: "late"}));
  while ($("events").rows.length > 10) $("events").deleteRow(-1);
}

function paint() {
  marks.forEach((mark, place) => {
    mark.style.opacity = mark.classList.contains("live")
      ? 1 - .85 * ((second - place + 60) % 60) / 60 : "";
    mark.classList.toggle("now", place === second);
  });
}

const source = new EventSource("events?" + name);

source.addEventListener("hello", event => {
  const hello = JSON.parse(event.data);
  const other = run && run !== hello.run;
  if (other || !run) begin();
  run = hello.run; until = hello.until;
  log(event, "", false);
  comeback = null;
  if (other) $("story").textContent = "The server was started again, and counts from one.";
  else if (hello.after !== null) comeback = hello.after;
  else if (last !== null) comeback = last;
  if (comeback !== null) tell(hello.after);
});

function tell(after) {
  const away = lost ? ` after ${((performance.now() - lost) / 1000).toFixed(1)} seconds` : "";
  const from = comeback + 1;
  const between = until <= comeback ? "There was no tick meanwhile."
    : after === null ? "That is too long ago for the server to know."
    : from === until ? `Tick ${from} came late, and none was missed.`
    : `Ticks ${from} to ${until} came late, and none was missed.`;
  $("story").textContent = `Back${away}, with Last-Event-ID: ${comeback}. ${between}`;
  $("story").className = "back";
}

source.addEventListener("tick", event => {
  const number = Number(event.lastEventId);
  const late = comeback !== null && number <= until;
  if (last !== null && number > last + 1) missed += number - last - 1;
  last = number; ticks++;
  second = Number(event.data.slice(17, 19));
  marks[second].setAttribute("class", late ? "late" : "live");
  paint(); count(); log(event, event.lastEventId, late);
  $("time").textContent = document.title = event.data.slice(11);
  $("date").textContent = new Date(event.data).toLocaleDateString(undefined,
    {weekday: "long", day: "numeric", month: "long", year: "numeric"});
  $("number").textContent = `tick ${number}`;
});

source.onopen = () => {
  clearInterval(waiting);
  $("state").textContent = "Connected";
  document.body.className = "open";
  $("drop").disabled = false;
};

source.onerror = () => {
  const closed = source.readyState === EventSource.CLOSED;
  $("state").textContent = closed ? "Closed" : "Coming back";
  if (closed) $("story").textContent = "The server refused. Reload the page to begin again.";
  if (document.body.className !== "open") return;
  document.body.className = "";
  $("drop").disabled = true;
  lost = performance.now();
  let place = second;
  clearInterval(waiting);
  waiting = setInterval(() => {
    place = (place + 1) % 60;
    marks[place].setAttribute("class", "awaited");
    paint();
  }, 1000);
  if (closed) return;
  $("story").className = "";
  $("story").textContent =
    `The stream has ended after tick ${last}. The browser is on its way back.`;
};

$("drop").onclick = () => {
  $("drop").disabled = true;
  fetch("drop?" + name, {cache: "no-store"}).catch(() => {});
};
</script>
"""


if __name__ == "__main__":
    main()
