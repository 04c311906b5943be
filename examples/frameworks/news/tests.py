from django.test import SimpleTestCase
from news.views import channel


class EventsTest(SimpleTestCase):
    async def test_events(self):
        response = await self.async_client.get("/events")
        await self.async_client.post("/add", "hello", content_type="text/plain")
        for sse in channel.streams:
            sse.close()     # or the response would never end
        body = b"".join([chunk async for chunk in response])
        self.assertIn(b'event: news\ndata: "hello"\n', body)
