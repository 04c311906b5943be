from django.http import HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_POST
from sse import Channel, HEADERS
from stopping import close_on_stop

channel = Channel(history=1000)


async def events(request):
    close_on_stop(channel)
    return StreamingHttpResponse(channel.open(request).astream(), headers=dict(HEADERS))


@require_POST
def add(request):
    channel.add_json("news", request.body.decode("utf-8", "replace"))
    return HttpResponse(status=204)
