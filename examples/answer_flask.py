import time

from flask import Flask, Response
from sse import HEADERS, Sse

app = Flask(__name__)


def write(sse):
    for word in "This takes its time".split():
        sse.add_event_word(word)    # raises Closed once the client has disconnected
        time.sleep(0.3)
    sse.add_event_done("")


@app.route("/answer")
def answer():
    return Response(Sse().stream(producer=write), headers=HEADERS)


@app.route("/")
def page():
    return """<!DOCTYPE html>
<title>Answer</title>
<p></p>
<script>
  const source = new EventSource("/answer");
  source.addEventListener("word", event => document.querySelector("p").append(event.data, " "));
  source.addEventListener("done", () => source.close());    // or the browser asks again
  source.onerror = () => source.close();
</script>
"""


if __name__ == "__main__":
    app.run(port=8000)
