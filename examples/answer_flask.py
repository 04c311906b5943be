import time

from flask import Flask, Response, request, send_file
from sse import HEADERS, Channel

app = Flask(__name__)
answers = Channel()     # nothing is added to it: each answer has a stream of its own


def write(sse, question):
    for word in ("You asked: " + question).split():
        sse.add_event_word(word)    # raises Closed once the client has disconnected
        time.sleep(0.3)
    sse.add_event_done("")


@app.route("/answer")
def answer():
    question = request.args["question"]
    stream = answers.open(request).stream(producer=lambda sse: write(sse, question))
    return Response(stream, headers=HEADERS)


@app.route("/")
def page():
    return send_file("question.html")


if __name__ == "__main__":
    app.run(port=8000)
