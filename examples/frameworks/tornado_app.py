"""Tornado: python tornado_app.py"""

import asyncio
import signal

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
    server, stop = app.listen(8000), asyncio.Event()
    for number in signal.SIGINT, signal.SIGTERM:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    server.stop()
    channel.close()
    await asyncio.sleep(1)      # for what is pending

if __name__ == "__main__":
    asyncio.run(main())
