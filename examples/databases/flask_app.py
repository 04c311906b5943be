"""Flask-SQLAlchemy: flask --app flask_app run"""

import os

from flask import Flask, Response, request
from flask_sqlalchemy import SQLAlchemy
from sse import HEADERS, Channel

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ.get("DATABASE_URL", "sqlite:///notes.db")
db = SQLAlchemy(app)
answers = Channel()


class Note(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    text = db.Column(db.Text)


def write(sse):
    with app.app_context():     # its end gives the connection back
        texts = db.session.scalars(db.select(Note.text)).all()
    for text in texts:
        sse.add_json("note", text)
        sse.drain()         # a slow client holds no connection, and no memory
    sse.add_event_done("")


@app.route("/notes")
def notes():
    return Response(answers.open(request).stream(producer=write), headers=HEADERS)
