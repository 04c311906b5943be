# -*- coding: utf-8 -*-
"""The two ways in which programs used version 1, in each framework: /text and /again.

Run it with: waitress-serve --call version_1:FRAMEWORK, that is flask, django and so on.
"""

from __future__ import unicode_literals

from sse import Sse

TYPE = str("text/event-stream")


def text():
    """What was added is iterated over, as text."""
    sse = Sse()
    sse.add_message("greeting", "grüß\u2028dich\nHello")
    return iter(sse)


class View(object):
    """One object of the view, which its handler fills and which is read again and again."""

    def __init__(self):
        self.sse = Sse()

    def handler(self):
        self.sse.add_message("time", "one")
        yield
        self.sse.add_event_time("two")
        self.sse.add_event_date("three")
        yield
        yield
        self.sse.set_event_id("4")
        self.sse.add_message("time", "four")
        yield

    def __iter__(self):
        for _ in self.handler():
            for line in self.sse:
                yield line


BODIES = {"/text": text, "/again": lambda: iter(View())}


def encoded(path):
    """For frameworks that take bytes only."""
    return (line.encode("utf-8") for line in BODIES[path]())


def flask():
    from flask import Flask, Response

    app = Flask(__name__)

    @app.route("/<name>")
    def view(name):
        return Response(BODIES["/" + name](), mimetype=TYPE)

    return app


def django():
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import StreamingHttpResponse

    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=[])
    try:
        from django.urls import re_path
    except ImportError:     # before 2.0
        from django.conf.urls import url as re_path

    def view(request):
        return StreamingHttpResponse(BODIES[request.path](), content_type=TYPE)

    globals()["urlpatterns"] = [re_path("", view)]
    return get_wsgi_application()


def bottle():
    from bottle import Bottle, response

    app = Bottle()

    @app.get("/<name>")
    def view(name):
        response.content_type = TYPE
        return BODIES["/" + name]()

    return app


def falcon():
    import falcon

    def sink(request, response):
        response.content_type = TYPE
        response.stream = encoded(request.path)

    app = falcon.App() if hasattr(falcon, "App") else falcon.API()
    app.add_sink(sink)
    return app


def pyramid():
    from pyramid.config import Configurator
    from pyramid.response import Response

    def view(request):
        return Response(app_iter=encoded(request.path), content_type=TYPE)

    with Configurator() as config:
        config.add_route("any", "/*path")
        config.add_view(view, route_name="any")
        return config.make_wsgi_app()


def starlette():
    from starlette.applications import Starlette
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    def view(request):
        return StreamingResponse(BODIES[request.url.path](), media_type=TYPE)

    return Starlette(routes=[Route("/{name}", view)])
