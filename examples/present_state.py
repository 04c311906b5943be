"""Flask: python present_state.py"""

from flask import Flask, Response, render_template_string, request
from sse import HEADERS, Channel

app = Flask(__name__)
channel = Channel(history=1000)
notes = {}      # in place of a database


@app.route("/")
def page():
    newest = channel.newest_id      # first; then the state, which may be newer
    return render_template_string(PAGE, newest=newest, notes=dict(notes))


@app.route("/events")
def events():
    return Response(channel.open(request).stream(), headers=HEADERS)


@app.route("/notes/<name>", methods=["PUT"])
def put(name):
    notes[name] = request.get_data(as_text=True)    # first the state, and its commit
    channel.add_json("note", [name, notes[name]])
    return "", 204


PAGE = """<!DOCTYPE html>
<title>Notes</title>
<form><input name="name" required> <input name="text"> <button>Save</button></form>
<dl></dl>
<script>
  const rows = {};
  function show([name, text]) {         // once or twice, it is the same
    if (!(name in rows)) {
      const term = document.createElement("dt"), row = document.createElement("dd");
      term.textContent = name;
      document.querySelector("dl").append(term, rows[name] = row);
    }
    rows[name].textContent = text;
  }
  Object.entries({{ notes|tojson }}).forEach(show);

  const from = encodeURIComponent({{ newest|tojson }});
  const source = new EventSource("/events?lastEventId=" + from);
  source.addEventListener("note", event => show(JSON.parse(event.data)));
  source.addEventListener("reset", () => location.reload());    // events were missed

  document.querySelector("form").onsubmit = event => {
    event.preventDefault();
    const {name, text} = event.target.elements;
    fetch("/notes/" + encodeURIComponent(name.value), {method: "PUT", body: text.value});
  };
</script>
"""

if __name__ == "__main__":
    app.run(port=8000)
