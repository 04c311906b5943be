"""Flask, four workers: gunicorn -w 4 --threads=100 workers_flask:app"""

from flask import Flask, Response, request
from sqlite_store import NotConfirmed, SQLiteStore
from sse import HEADERS, Channel

app = Flask(__name__)
channel = Channel(history=1000, store=SQLiteStore("events.db"))


@app.route("/events")
def events():
    return Response(channel.open(request).stream(), headers=HEADERS)


@app.route("/add", methods=["POST"])
def add():
    channel.add_json("news", request.get_data(as_text=True))
    return "", 204


@app.errorhandler(NotConfirmed)
def not_confirmed(error):
    return "the event may not have been published", 503
