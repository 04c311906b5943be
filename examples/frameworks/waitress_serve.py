"""waitress from a program: python waitress_serve.py flask_app"""

import importlib
import signal
import sys

from waitress import serve

module = importlib.import_module(sys.argv[1])


def stop(*args):
    module.channel.close()
    sys.exit()


for number in signal.SIGINT, signal.SIGTERM:
    signal.signal(number, stop)
serve(module.app, listen="127.0.0.1:8080", threads=50, channel_request_lookahead=1)
