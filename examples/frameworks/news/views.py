from django.http import HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_POST
from sse import Channel, HEADERS

channel = Channel(history=1000)


async def events(request):
    return StreamingHttpResponse(channel.open(request).astream(), headers=dict(HEADERS))


@require_POST
def add(request):
    channel.add_json("news", request.body.decode("utf-8", "replace"))
    return HttpResponse(status=204)
