"""flask-sse with the two places that the load test needs: GET /events and POST /publish."""

import os

import flask
from flask_sse import sse

application = app = flask.Flask(__name__)
app.config["REDIS_URL"] = os.environ["STORE"]
app.register_blueprint(sse, url_prefix="/events")


@app.route("/publish", methods=["POST"])
def publish():
    event_id = sse.redis.incr("flask-sse:id")
    sse.publish(flask.request.get_data(as_text=True), id=event_id)
    return "", 202
