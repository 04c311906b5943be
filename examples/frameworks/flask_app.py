"""Flask: waitress-serve --threads=50 --channel-request-lookahead=1 flask_app:app"""

from flask import Flask, Response, request
from sse import HEADERS, Sse

app = Flask(__name__)
streams = set()


@app.route("/events")
def events():
    sse = Sse(max_pending=100000)
    streams.add(sse)
    return Response(sse.stream(), headers=HEADERS)


@app.route("/add", methods=["POST"])
def add():
    publish(request.get_data(as_text=True))
    return "%d" % len(streams)


def publish(text):
    for sse in list(streams):
        try:
            sse.add_json("news", text)
        except (BufferError, ValueError):   # too slow, or gone
            sse.close()
            streams.discard(sse)
