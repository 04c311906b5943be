import asyncio

from fastapi_app import app, channel
from httpx import ASGITransport, AsyncClient


def test_events():
    async def get():
        transport = ASGITransport(app)
        async with AsyncClient(transport=transport, base_url="http://test") as client:
            response = asyncio.create_task(client.get("/events"))
            while not channel.streams:
                await asyncio.sleep(0)
            await client.post("/add", content="hello")
            for sse in channel.streams:
                sse.close()     # or the response would never end
            return await response

    response = asyncio.run(get())
    assert response.headers["Content-Type"] == "text/event-stream"
    assert 'event: news\ndata: "hello"\n' in response.text
