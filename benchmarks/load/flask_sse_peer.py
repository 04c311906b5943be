"""flask-sse with the two places that the load test needs: GET /events and POST /publish/load."""

import os

import flask
from flask_sse import sse

application = app = flask.Flask(__name__)
app.config["REDIS_URL"] = os.environ["REDIS_URL"]
app.register_blueprint(sse, url_prefix="/events")


@app.route("/publish/load", methods=["POST"])
def publish():
    event_id = sse.redis.incr("flask-sse:id")
    sse.publish(flask.request.form["data"], id=event_id, channel="load")
    return str(event_id), 202
