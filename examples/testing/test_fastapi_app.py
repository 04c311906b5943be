"""Tests of FastAPI applications: a channel, and an answer."""

import asyncio

import answer_post
from fastapi.testclient import TestClient
from fastapi_app import app, channel
from httpx import ASGITransport, AsyncClient


def test_events():
    async def get():
        transport = ASGITransport(app)
        async with AsyncClient(transport=transport, base_url="http://test") as client:
            response = asyncio.create_task(client.get("/events"))
            while not (channel.streams or response.done()):     # 401, 500, ...
                await asyncio.sleep(0)
            await client.post("/add", content="hello")
            for sse in channel.streams:
                sse.close()     # or the response would never end
            return await response

    response = asyncio.run(get())
    assert response.headers["Content-Type"] == "text/event-stream"
    assert 'event: news\ndata: "hello"\n' in response.text


def test_answer():
    response = TestClient(answer_post.app).post("/answer", json={"text": "Why?"})
    assert response.text.endswith('event: word\ndata: "Why?"\n\nevent: done\ndata: null\n\n')
