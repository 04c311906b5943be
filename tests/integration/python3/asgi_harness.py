"""`harness` for asynchronous applications. One that serves itself is run by this file.

Then PORT is its port, instead of 8000, and CHANGE="OLD=>NEW" changes another text of its file.
"""

import asyncio
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import harness      # noqa: E402


async def raises(stream):
    stream.add_message("produced", "one")
    raise RuntimeError("the producer failed")


async def waits(stream):
    stream.add_message("produced", "one")
    try:
        await asyncio.Event().wait()
    finally:
        harness.NOTES.append("closed")


def both(*producers):
    """Where the application has one of its own, which ends when the client disconnects."""
    async def produce(stream):
        tasks = [asyncio.ensure_future(producer(stream)) for producer in producers]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Not awaited: BlackSheep's `is_disconnected` may take a cancel for its own.
            for task in tasks:
                task.cancel()
        done.pop().result()

    return produce


harness.PRODUCERS = {"raises": raises, "waits": waits, "both": both}
app = harness.app

if __name__ == "__main__":
    with open(os.path.join(harness.FOLDER, os.environ["APPLICATION"] + ".py")) as file:
        text = file.read()
    for change in ["8000=>" + os.environ["PORT"]] + os.environ.get("CHANGE", "").splitlines():
        old, new = change.split("=>")
        assert old in text
        text = text.replace(old, new)
    harness.CHANNELS.clear()
    exec(compile(text, "the application", "exec"), {"__name__": "__main__"})
