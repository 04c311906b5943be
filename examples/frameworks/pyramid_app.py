"""Pyramid: waitress-serve --threads=50 --channel-request-lookahead=1 pyramid_app:app"""

from pyramid.config import Configurator
from pyramid.response import Response
from sse import HEADERS, Sse

streams = set()


def events(request):
    sse = Sse(max_pending=100000)
    streams.add(sse)
    return Response(app_iter=sse.stream(), headerlist=list(HEADERS))


def add(request):
    publish(request.body.decode("utf-8", "replace"))
    return Response("%d" % len(streams))


def publish(text):
    for sse in list(streams):
        try:
            sse.add_json("news", text)
        except (BufferError, ValueError):   # too slow, or gone
            sse.close()
            streams.discard(sse)


with Configurator() as config:
    config.add_route("events", "/events", request_method="GET")
    config.add_view(events, route_name="events")
    config.add_route("add", "/add", request_method="POST")
    config.add_view(add, route_name="add")
    app = config.make_wsgi_app()
