"""Django: waitress-serve --threads=50 --channel-request-lookahead=1 django_app:app"""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, connections
from django.http import StreamingHttpResponse
from django.urls import path
from sse import HEADERS, Channel

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3",
                           "NAME": os.environ.get("DATABASE", "notes.db")}},
    ROOT_URLCONF=__name__)
answers = Channel()


def write(sse):
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT text FROM note")
            texts = [text for text, in cursor]
    finally:
        connections.close_all()     # those of this thread, which no request closes
    for text in texts:
        sse.add_json("note", text)
        sse.drain()         # a slow client holds no connection, and no memory
    sse.add_event_done("")


def notes(request):
    response = StreamingHttpResponse(
        answers.open(request).stream(producer=write), headers=dict(HEADERS))
    connections.close_all()         # if this view used any: the response may be open for long
    return response


urlpatterns = [path("notes", notes)]
app = get_wsgi_application()
