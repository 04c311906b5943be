"""Django under ASGI: uvicorn django_asgi_app:app"""

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
from sse import Channel, HEADERS
from stopping import close_on_stop

settings.configure(ALLOWED_HOSTS=["127.0.0.1", "localhost"], ROOT_URLCONF=__name__)
channel = Channel(history=1000)


async def events(request):
    close_on_stop(channel)
    return StreamingHttpResponse(channel.open(request).astream(), headers=dict(HEADERS))


async def add(request):
    channel.add_json("news", request.body.decode("utf-8", "replace"))
    return HttpResponse(status=204)


urlpatterns = [path("events", events), path("add", add)]
app = get_asgi_application()
