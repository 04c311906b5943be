"""Django: waitress-serve --threads=50 --channel-request-lookahead=1 django_app:app"""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_GET, require_POST
from sse import Channel, HEADERS

try:
    from django.urls import re_path
except ImportError:     # before 2.0
    from django.conf.urls import url as re_path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    MIDDLEWARE=["django.middleware.gzip.GZipMiddleware"],
    ROOT_URLCONF=__name__,
)
channel = Channel(history=1000)


@require_GET
def events(request):
    response = StreamingHttpResponse(channel.open(request).stream())
    for name, value in HEADERS:
        response[name] = value
    # GZipMiddleware leaves alone what has an encoding; it would hold the events back.
    response["Content-Encoding"] = "identity"
    return response


@require_POST
def add(request):
    channel.add_json("news", request.body.decode("utf-8", "replace"))
    return HttpResponse(status=204)


urlpatterns = [re_path("^events$", events), re_path("^add$", add)]
app = get_wsgi_application()
