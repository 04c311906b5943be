"""Pyramid: waitress-serve --threads=50 --channel-request-lookahead=1 pyramid_app:app"""

from pyramid.config import Configurator
from pyramid.response import Response
from sse import Channel, HEADERS

channel = Channel(history=1000)


def events(request):
    return Response(app_iter=channel.open(request).stream(), headerlist=list(HEADERS))


def add(request):
    channel.add_json("news", request.body.decode("utf-8", "replace"))
    return Response(status=204)


with Configurator() as config:
    config.add_route("events", "/events", request_method="GET")
    config.add_view(events, route_name="events")
    config.add_route("add", "/add", request_method="POST")
    config.add_view(add, route_name="add")
    app = config.make_wsgi_app()
