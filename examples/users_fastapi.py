"""FastAPI: pip install itsdangerous; python accounts.py; export SECRET_KEY=...;
uvicorn --timeout-graceful-shutdown=5 users_fastapi:app"""

import asyncio
import os
import time
from typing import Annotated

import accounts
from fastapi import Body, Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, StreamingResponse
from shared_presence import SQLitePresence
from sse import HEADERS, Channel
from starlette.middleware.sessions import SessionMiddleware

app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key=os.environ["SECRET_KEY"])
channel = Channel(history=1000)     # several workers: store=SQLiteStore("events.db")
Text = Annotated[str, Body(embed=True, max_length=10000)]


def topics_of(token):
    """What this session may hear now, always in the same order; None if it has ended."""
    user = accounts.user_of(token)
    return user and ["user:%d" % user.id] + ["room:%d" % r for r in accounts.rooms_of(user.id)]


def current_user(request: Request):
    user = accounts.user_of(request.session.get("token"))
    if user is None:
        raise HTTPException(401)
    return user


@app.get("/events")
async def events(request: Request, user=Depends(current_user)):
    token = request.session["token"]
    topics = await asyncio.to_thread(topics_of, token)
    if topics is None:
        raise HTTPException(401)
    sse = await asyncio.to_thread(channel.open, request, topics)    # it may wait for a store
    presence.arrived(user.id)
    return StreamingResponse(allowed(sse, token, topics), headers=dict(HEADERS))


async def allowed(sse, token, topics):
    """The stream, for as long as its session may hear just these topics."""
    due = 0
    try:
        async for chunk in sse.astream(keepalive=5):
            # Once after the stream was opened, then when `look_again` says so; and each ten
            # seconds, in case that did not arrive.
            if time.time() >= due or b"event: session\n" in chunk:
                if await asyncio.to_thread(topics_of, token) != topics:
                    return      # the browser reconnects, and gets other topics, or 401
                due = time.time() + 10
            yield chunk
    finally:
        sse.close()


def look_again(user):
    """All streams of this user, in whatever process. First change the database."""
    channel.to("user:%d" % user).add_message("session", "", keep=False)


# From here on plain functions: FastAPI runs them in threads, where a database may be waited for.

@app.get("/")
def page():
    return FileResponse(os.path.join(os.path.dirname(__file__), "users.html"))


@app.post("/login", status_code=204)
def login(request: Request, name: Text, password: Text):
    request.session["token"] = accounts.log_in(name, password)
    if request.session["token"] is None:
        raise HTTPException(403)


@app.post("/logout", status_code=204)
def logout(request: Request, user=Depends(current_user)):
    """Of this device, in all of its tabs."""
    accounts.log_out(request.session.pop("token"))
    look_again(user.id)


@app.post("/logout/everywhere", status_code=204)
def logout_everywhere(user=Depends(current_user)):
    accounts.log_out_everywhere(user.id)
    look_again(user.id)


@app.post("/announcements", status_code=204)
def announce(text: Text, user=Depends(current_user)):
    if not user.admin:
        raise HTTPException(403)
    channel.add_json("announcement", text)      # encoded once


def member(room: int, user=Depends(current_user)):
    """Who is logged in, if he is in this room."""
    if room not in accounts.rooms_of(user.id):
        raise HTTPException(403)
    return user


def existing(user: int):
    if accounts.name_of(user) is None:
        raise HTTPException(404)
    return user


@app.post("/rooms/{room}/posts", status_code=204)
def post(room: int, text: Text, by=Depends(member)):
    value = {"room": room, "from": by.name, "text": text}
    channel.to("room:%d" % room).add_json("post", value)


@app.post("/rooms/{room}/typing", status_code=204)
def typing(room: int, by=Depends(member)):
    value = {"room": room, "from": by.name}
    channel.to("room:%d" % room).add_json("typing", value, keep=False)


@app.post("/rooms/{room}/members/{user}", status_code=204)
def invite(room: int, by=Depends(member), user=Depends(existing)):
    accounts.join(user, room)
    look_again(user)


@app.post("/rooms/{room}/leave", status_code=204)
def leave(room: int, by=Depends(member)):
    accounts.leave(by.id, room)
    look_again(by.id)


@app.post("/users/{user}/notes", status_code=204)
def note(text: Text, user=Depends(existing), by=Depends(current_user)):
    channel.to("user:%d" % user).add_json("note", {"from": by.name, "text": text})


@app.get("/rooms/{room}")
def state(room: int, by=Depends(member)):
    """What a page shows at first; it then opens /events?lastEventId=NEWEST."""
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
