"""Flask: gunicorn --threads=50 slow_client:app, or flask --app slow_client run"""

from flask import Flask, Response, request
from sse import HEADERS, Channel

app = Flask(__name__)
channel = Channel(history=1000)


@app.route("/events")
def events():
    # Otherwise a client that no longer reads holds its thread until it disconnects.
    for name in "gunicorn.socket", "werkzeug.socket":
        if name in request.environ:
            request.environ[name].settimeout(60)
    return Response(channel.open(request).stream(), headers=HEADERS)


@app.route("/add", methods=["POST"])
def add():
    channel.add_json("news", request.get_data(as_text=True))
    return "%d" % len(channel.streams)
