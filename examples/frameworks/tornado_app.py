"""Tornado: python tornado_app.py"""

import asyncio

from sse import Channel, HEADERS
from tornado.web import Application, RequestHandler

channel = Channel(history=1000)


class Events(RequestHandler):
    async def get(self):
        for name, value in HEADERS:
            self.set_header(name, value)
        self.chunks = channel.open(self.request).astream()
        async for chunk in self.chunks:
            self.write(chunk)
            await self.flush()

    def on_connection_close(self):
        self.chunks.aclose()


class Add(RequestHandler):
    async def post(self):
        channel.add_json("news", self.request.body.decode("utf-8", "replace"))
        self.set_status(204)


app = Application([("/events", Events), ("/add", Add)])


async def main():
    app.listen(8000)
    await asyncio.Event().wait()

if __name__ == "__main__":
    asyncio.run(main())
