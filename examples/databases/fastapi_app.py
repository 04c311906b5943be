"""SQLAlchemy in FastAPI: uvicorn fastapi_app:app"""

import os

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sse import HEADERS, Channel

app = FastAPI()
engine = create_engine(os.environ.get("DATABASE_URL", "sqlite:///notes.db"))
answers = Channel()


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


def write(sse):     # not async: it runs in a thread of its own
    with Session(engine) as session:    # and not that of a dependency
        texts = session.scalars(select(Note.text)).all()
    for text in texts:
        sse.add_json("note", text)
        sse.drain()         # a slow client holds no connection, and no memory
    sse.add_event_done("")


@app.get("/notes")
async def notes(request: Request):
    stream = answers.open(request).astream(producer=write)
    return StreamingResponse(stream, headers=dict(HEADERS))
