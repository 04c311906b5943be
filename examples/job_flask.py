"""A job that outlives its page: pip install . flask && python examples/job_flask.py"""

import threading

from flask import Flask, Response, abort, jsonify, request, send_file
from job import channel, new, newest, run
from sse import HEADERS

app = Flask(__name__)


@app.route("/jobs", methods=["POST"])
def start():
    job = new()
    threading.Thread(target=run, args=(job, "fails" in request.args), daemon=True).start()
    return jsonify(job)


@app.route("/jobs/<job>")
def watch(job):
    if newest(job) is None:
        abort(404)
    sse = channel.open(request, topics="job:" + job)
    if not sse.closed:                      # as it is for HEAD
        sse.add_json("state", newest(job))  # after `open`, so that no state is missed
    return Response(sse.stream(), headers=HEADERS)


@app.route("/")
def page():
    return send_file("job.html")


@app.route("/style.css")
def style():
    return send_file("style.css")


if __name__ == "__main__":
    app.run(port=8000)
