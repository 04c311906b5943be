"""A real redis-server, to be killed and started again."""

import contextlib
import os
import shutil
import sys

from loopback import EXAMPLES, free_port, running, wait_for
import pytest

redis = pytest.importorskip("redis")
if not shutil.which("redis-server"):
    pytest.skip("redis-server is not installed", allow_module_level=True)

sys.path.insert(0, os.path.abspath(EXAMPLES))


class RedisServer(object):
    """redis-server on a port and in a folder of its own."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.port = free_port()
        self.url = "redis://127.0.0.1:%d/0" % self.port
        self.client = redis.Redis.from_url(self.url, socket_timeout=20)

    def start(self):
        self.context = running(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--dir", self.folder, "--appendonly", "yes", "--appendfsync", "always"], self.port)
        self.process = self.context.__enter__()
        wait_for(self.loaded, 20)

    def loaded(self):
        with contextlib.suppress(redis.ConnectionError):
            return self.client.ping()

    def kill(self):
        self.process.kill()
        self.stop()

    def stop(self):
        self.context.__exit__(None, None, None)

    @contextlib.contextmanager
    def away(self):
        self.kill()
        try:
            yield
        finally:
            self.start()

    def readers(self):
        """How many connections wait in XREAD."""
        return sum(client["cmd"] == "xread" for client in self.client.client_list())
