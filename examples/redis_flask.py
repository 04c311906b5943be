"""Flask, four workers: gunicorn -w 4 --threads=100 redis_flask:app"""

import os

from flask import Flask, Response, request
from redis_channel import NotConfirmed, RedisChannel
from sse import HEADERS

app = Flask(__name__)
url = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
channel = RedisChannel(url, "news", history=1000)


@app.route("/events")
def events():
    return Response(channel.open(request).stream(), headers=HEADERS)


@app.route("/add", methods=["POST"])
def add():
    try:
        channel.add_json("news", request.get_data(as_text=True))
    except NotConfirmed:
        return "Redis is unreachable: the event may not have been published", 503
    return "", 204
