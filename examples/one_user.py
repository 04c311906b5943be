"""Flask: flask --app one_user run"""

import os

from flask import Flask, Response, abort, request, session
from sse import HEADERS, Channel

app = Flask(__name__)
app.secret_key = os.environ.get("SECRET_KEY") or os.urandom(32)
channels = {}       # of each user


def channel_of(user):
    # setdefault: if two threads make one, both get the first.
    return channels.get(user) or channels.setdefault(user, Channel(history=100))


@app.route("/events")
def events():
    if "user" not in session:       # set where the user logs in
        abort(401)
    return Response(channel_of(session["user"]).open(request).stream(), headers=HEADERS)


@app.route("/logout", methods=["POST"])
def logout():
    channel = channels.pop(session.pop("user", None), None)
    if channel is not None:
        channel.close()     # ends this user's streams; the next request gets 401
    return "", 204


def notify(user, text):
    """Called from any request or thread of this process."""
    channel_of(user).add_json("note", text)
