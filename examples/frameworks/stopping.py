"""Close a channel when the server stops: most wait until the last stream has ended."""

import asyncio
import functools
import os
import signal


@functools.cache        # once in each process
def close_on_stop(channel, seconds=5):
    """Call it when a request comes: the server has set its signal handlers then.

    After so many seconds the server ends, although a client does not read what is left for it.
    """
    loop = asyncio.get_running_loop()

    def close(*args):
        channel.close()
        loop.call_later(seconds, os._exit, 0)

    def closing(close, before, *args, **more):
        loop.call_soon_threadsafe(close)
        return before(*args, **more)

    handler = signal.getsignal(signal.SIGTERM)
    server = getattr(handler, "__self__", None)
    waiting = [task for task in asyncio.all_tasks()
               if getattr(task.get_coro(), "__name__", "") == "raise_shutdown"]
    if hasattr(server, "shutdown"):     # uvicorn's, which also stops without a signal
        server.config.timeout_graceful_shutdown = (
            server.config.timeout_graceful_shutdown or seconds)
        server.shutdown = functools.partial(closing, channel.close, server.shutdown)
    elif waiting:                       # hypercorn's, whose workers get no signal
        for task in waiting:
            task.add_done_callback(close)
    elif callable(handler):             # or it is a test client
        for number in signal.SIGINT, signal.SIGTERM:
            signal.signal(number, functools.partial(closing, close, signal.getsignal(number)))
