from flask import Flask, Response, request
from sse import Channel, HEADERS

app = Flask(__name__)
channel = Channel(history=100)      # sends to all clients; keeps the last 100 events


@app.route("/")
def page():
    return """<!DOCTYPE html>
<title>Quick start</title>
<button>Add</button>
<p></p>
<script>
  const source = new EventSource("/events");
  source.addEventListener("news", event =>
    document.querySelector("p").append(JSON.parse(event.data), document.createElement("br")));
  document.querySelector("button").onclick = () =>
    fetch("/add", {method: "POST", body: new Date().toLocaleTimeString()});
</script>
"""


@app.route("/events")
def events():
    return Response(channel.open(request).stream(), headers=HEADERS)


@app.route("/add", methods=["POST"])
def add():
    channel.add_json("news", request.get_data(as_text=True))
    return "", 204


if __name__ == "__main__":
    app.run(port=8000)
