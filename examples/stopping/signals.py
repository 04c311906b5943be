"""Close a channel on SIGINT and SIGTERM, before the server's own handlers run."""

import asyncio
import functools
import signal
import threading


@functools.cache        # once in each process
def close_on_signals(channel):
    """Called in the event loop, after the server has set its handlers."""
    if threading.current_thread() is not threading.main_thread():
        return      # Starlette's TestClient: only the main thread may set handlers
    loop = asyncio.get_running_loop()
    for number in signal.SIGINT, signal.SIGTERM:
        def handler(*args, before=signal.getsignal(number)):
            loop.call_soon_threadsafe(channel.close)
            before(*args)
        signal.signal(number, handler)
