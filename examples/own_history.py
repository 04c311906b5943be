"""Flask: python own_history.py"""

import itertools
import os
import sqlite3
import threading

from flask import Flask, Response, request
from sse import HEADERS, Channel, Sse, last_event_id

app = Flask(__name__)
channel = Channel(history=100)  # enough for what is added while a page's rows are read
adding = threading.Lock()       # so that events come in the order of the rows
DATABASE = os.environ.get("DATABASE", "notes.db")


def execute(*statement):
    connection = sqlite3.connect(DATABASE)
    try:
        with connection:        # commits
            cursor = connection.execute(*statement)
            return cursor.lastrowid, cursor.fetchall()
    finally:
        connection.close()


@app.route("/notes", methods=["POST"])
def add():
    text = request.get_data(as_text=True)
    with adding:
        number, _ = execute("INSERT INTO note (text) VALUES (?)", [text])
        channel.add_json("note", text, event_id=number)     # after the commit
    return "", 204


@app.route("/events")
def events():
    newest = channel.newest_id                      # 1. first: what is added from here on
    _, rows = execute("SELECT id, text FROM note WHERE id > CAST(? AS INTEGER) ORDER BY id",
                      [last_event_id(request) or "0"])      # 2. then the rows
    past = Sse()
    for number, text in rows:
        past.add_json("note", text, event_id=number)
    stream = channel.open(newest).stream()          # 3. at last whatever came since 1.
    response = Response(itertools.chain([past.data_to_send()], stream), headers=HEADERS)
    response.call_on_close(stream.close)
    return response


@app.route("/")
def page():
    return """<!DOCTYPE html>
<title>Notes</title>
<form><input name="text" required> <button>Add</button></form>
<ol></ol>
<script>
  let last = 0;
  const source = new EventSource("/events");
  source.addEventListener("note", event => {
    if (Number(event.lastEventId) <= last) return;      // a row that was added between 1. and 2.
    last = Number(event.lastEventId);
    document.querySelector("ol").append(
      Object.assign(document.createElement("li"), {textContent: JSON.parse(event.data)}));
  });
  document.querySelector("form").onsubmit = event => {
    event.preventDefault();
    fetch("/notes", {method: "POST", body: event.target.elements.text.value});
    event.target.reset();
  };
</script>
"""


execute("CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT)")

if __name__ == "__main__":
    app.run(port=8000)
