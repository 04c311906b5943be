"""hypercorn from a program: python hypercorn_serve.py"""

import asyncio
import signal

from hypercorn.asyncio import serve
from hypercorn.config import Config
from lifespan import app, channel


async def main():
    stop = asyncio.Event()
    for number in signal.SIGINT, signal.SIGTERM:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    async def shutdown_trigger():
        await stop.wait()
        channel.close()

    config = Config()
    config.bind = ["127.0.0.1:8000"]
    await serve(app, config, shutdown_trigger=shutdown_trigger)


if __name__ == "__main__":
    asyncio.run(main())
