"""waitress: python waitress_app.py"""

import signal
import sys

from flask_app import app, channel
from waitress import serve


def stop(*args):
    channel.close()
    sys.exit()


if __name__ == "__main__":
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, stop)
    serve(app, host="127.0.0.1", port=8000, threads=100)
