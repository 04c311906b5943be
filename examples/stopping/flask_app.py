"""Flask under gunicorn, with gunicorn.conf.py: gunicorn --threads=100 flask_app:app"""

from flask import Flask, Response, request
from sse import HEADERS, Channel

app = Flask(__name__)
channel = Channel()


@app.route("/events")
def events():
    return Response(channel.open(request).stream(), headers=HEADERS)
