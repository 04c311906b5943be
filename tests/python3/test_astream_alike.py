"""Tests of the streams for threads, with the asynchronous stream in their place."""

import inspect

import pytest

import test_channel_streams
import test_stream
from loops import next_of

for module in test_channel_streams, test_stream:
    for name, test in vars(module).items():
        if name.startswith("test_") and "stream_of" in inspect.signature(test).parameters:
            assert name not in globals()
            globals()[name] = test


class Driven:
    """An asynchronous stream that is read like one for threads; each runs its loop when asked."""

    def __init__(self, loop, stream):
        self.loop = loop
        self.stream = stream

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return self.loop.run_until_complete(next_of(self.stream))
        except StopAsyncIteration:
            raise StopIteration

    def close(self):
        self.stream.close()


@pytest.fixture
def stream_of(new_loop):
    loops = []

    def stream_of(sse, *args, **kwargs):
        loops.append(new_loop())
        return Driven(loops[-1], sse.astream(*args, **kwargs))

    yield stream_of
    for loop in loops:
        loop.close()
