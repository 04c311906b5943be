"""Django, which has no lifespan, under uvicorn: uvicorn django_app:application"""

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import StreamingHttpResponse
from django.urls import path
from signals import close_on_signals
from sse import HEADERS, Channel

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
channel = Channel()


async def events(request):
    close_on_signals(channel)
    return StreamingHttpResponse(channel.open(request).astream(), headers=dict(HEADERS))


urlpatterns = [path("events", events)]
application = get_asgi_application()
