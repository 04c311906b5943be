from flask import Flask, Response, request
from sse import Channel, HEADERS

app = Flask(__name__)
channel = Channel(history=100)      # keeps 100 events, for clients that reconnect


@app.route("/")
def page():
    return """<!DOCTYPE html>
<title>Quick start</title>
<button>Add</button> <p></p>
<script>
  const source = new EventSource("/events");
  source.addEventListener("news", event =>
    document.querySelector("p").append(JSON.parse(event.data), document.createElement("br")));
  source.addEventListener("reset", () => document.querySelector("p").textContent = "");
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
