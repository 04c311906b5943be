"""The server's clock: a page that misses no tick when its connection breaks.

    pip install . && python examples/clock.py       # --host, --port

    GET /           the page
    GET /events     the event stream: ticks from now on, or those after Last-Event-ID
    POST /drop      ends every stream, so that browsers have to reconnect
"""

import threading
import time

from server import page, respond, serve
from sse import Channel

channel = Channel(history=600)      # the ticks of ten minutes; the channel gives them their ids


def tick():
    while True:
        # 20 ms late: a sleep that ends a little early must not tick in the second before.
        time.sleep(1.02 - time.time() % 1)
        channel.add_event_tick(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))


def drop(environ, start_response):
    for sse in channel.streams:
        sse.close()
    return respond(environ, start_response, "202 Accepted")


if __name__ == "__main__":
    clock = threading.Thread(target=tick)
    clock.daemon = True
    clock.start()
    serve(__doc__, {"GET /": page("clock.html"), "GET /events": channel, "POST /drop": drop})
