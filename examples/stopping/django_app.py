"""Django, which has no lifespan, under uvicorn: uvicorn django_app:application"""

import asyncio
import functools
import signal

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import StreamingHttpResponse
from django.urls import path
from sse import HEADERS, Channel

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
channel = Channel()


@functools.cache
def close_on_signals():
    """Once in each process, and in its event loop: uvicorn has its own handlers by then."""
    loop = asyncio.get_running_loop()
    for number in signal.SIGINT, signal.SIGTERM:
        def handler(*args, before=signal.getsignal(number)):
            loop.call_soon_threadsafe(channel.close)
            before(*args)
        signal.signal(number, handler)


async def events(request):
    close_on_signals()
    return StreamingHttpResponse(channel.open(request).astream(), headers=dict(HEADERS))


urlpatterns = [path("events", events)]
application = get_asgi_application()
