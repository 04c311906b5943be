"""Flask: waitress-serve --threads=50 --channel-request-lookahead=1 flask_app:app"""

from flask import Flask, Response, request
from sse import Channel, HEADERS

app = Flask(__name__)
channel = Channel(history=1000)


@app.route("/events")
def events():
    return Response(channel.open(request).stream(), headers=HEADERS)


@app.route("/add", methods=["POST"])
def add():
    channel.add_json("news", request.get_data(as_text=True))
    return "", 204
