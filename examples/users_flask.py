"""Flask: python accounts.py; export SECRET_KEY=...; gunicorn --threads=100 users_flask:app"""

import os
import time

import accounts
from flask import Flask, Response, abort, request, send_file, session
from shared_presence import SQLitePresence
from sse import HEADERS, Channel

app = Flask(__name__)
app.secret_key = os.environ["SECRET_KEY"]       # the same in all processes
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
app.config["MAX_CONTENT_LENGTH"] = 65536
channel = Channel(history=1000)     # several workers: store=SQLiteStore("events.db")


def topics_of(token):
    """What this session may hear now, always in the same order; None if it has ended."""
    user = accounts.user_of(token)
    return user and ["user:%d" % user.id] + ["room:%d" % r for r in accounts.rooms_of(user.id)]


@app.get("/events")
def events():
    user, token = current_user(), session["token"]
    topics = topics_of(token) or abort(401)
    sse = channel.open(request, topics)
    presence.arrived(user.id)
    return Response(allowed(sse, token, topics), headers=HEADERS)


def allowed(sse, token, topics):
    """The stream, for as long as its session may hear just these topics."""
    due = 0
    try:
        for chunk in sse.stream(keepalive=5):
            # Once after the stream was opened, then when `look_again` says so; and each ten
            # seconds, in case that did not arrive.
            if time.time() >= due or b"event: session\n" in chunk:
                if topics_of(token) != topics:
                    return      # the browser reconnects, and gets other topics, or 401
                due = time.time() + 10
            yield chunk
    finally:
        sse.close()


def look_again(user):
    """All streams of this user, in whatever process. First change the database."""
    channel.to("user:%d" % user).add_message("session", "", keep=False)


def current_user():
    return accounts.user_of(session.get("token")) or abort(401)


@app.get("/")
def page():
    return send_file("users.html")


def field(name):
    body = request.get_json()
    value = body.get(name) if isinstance(body, dict) else None
    return value if isinstance(value, str) else abort(400)


@app.post("/login")
def login():
    session["token"] = accounts.log_in(field("name"), field("password")) or abort(403)
    return "", 204


@app.post("/logout")
def logout():
    """Of this device, in all of its tabs."""
    user = current_user()
    accounts.log_out(session.pop("token"))
    look_again(user.id)
    return "", 204


@app.post("/logout/everywhere")
def logout_everywhere():
    user = current_user()
    accounts.log_out_everywhere(user.id)
    look_again(user.id)
    return "", 204


@app.post("/announcements")
def announce():
    if not current_user().admin:
        abort(403)
    channel.add_json("announcement", field("text"))      # encoded once
    return "", 204


def member(room):
    """Who is logged in, if he is in this room."""
    user = current_user()
    return user if room in accounts.rooms_of(user.id) else abort(403)


@app.post("/rooms/<int:room>/posts")
def post(room):
    value = {"room": room, "from": member(room).name, "text": field("text")}
    channel.to("room:%d" % room).add_json("post", value)
    return "", 204


@app.post("/rooms/<int:room>/typing")
def typing(room):
    value = {"room": room, "from": member(room).name}
    channel.to("room:%d" % room).add_json("typing", value, keep=False)
    return "", 204


@app.post("/rooms/<int:room>/members/<int:user>")
def invite(room, user):
    member(room)
    if accounts.name_of(user) is None:
        abort(404)
    accounts.join(user, room)
    look_again(user)
    return "", 204


@app.post("/rooms/<int:room>/leave")
def leave(room):
    user = member(room)
    accounts.leave(user.id, room)
    look_again(user.id)
    return "", 204


@app.post("/users/<int:user>/notes")
def note(user):
    value = {"from": current_user().name, "text": field("text")}
    if accounts.name_of(user) is None:
        abort(404)
    channel.to("user:%d" % user).add_json("note", value)
    return "", 204


@app.get("/rooms/<int:room>")
def state(room):
    """What a page shows at first; it then opens /events?lastEventId=NEWEST."""
    member(room)
    newest = channel.newest_id      # before the rest, which may be newer
    here = presence.here()
    return {"newest": newest, "members": [
        {"name": accounts.name_of(user), "here": user in here}
        for user in accounts.members_of(room)]}


def changed(user, here):
    # Kept: a page that reconnects gets what changed meanwhile.
    topics = ["room:%d" % room for room in accounts.rooms_of(user)]
    channel.to(*topics).add_json("here", {"name": accounts.name_of(user), "here": here})


presence = SQLitePresence("presence.db", channel, "user:%d", changed)
