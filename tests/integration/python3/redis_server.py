"""A real redis-server, to be killed and started again, and a wire to it that can be held."""

import contextlib
import os
import shutil
import socket
import sys
import threading

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


class Wire(object):
    """A way to Redis on which the answers to what blocks, or to any command, can be held back."""

    def __init__(self, store):
        self.store = store
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "redis://127.0.0.1:%d/0" % self.listener.getsockname()[1]
        self.held = b"none"             # the answers to commands in which this occurs
        self.arrived = threading.Event()    # such an answer
        self.flows = threading.Event()
        self.sockets = [self.listener]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                try:
                    server = socket.create_connection(("127.0.0.1", self.store.port))
                except OSError:
                    client.close()
                    continue
                self.sockets += client, server
                last = {}
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self.pump, args=(source, target, last, client),
                                     daemon=True).start()

    def pump(self, source, target, last, client):
        with contextlib.suppress(OSError):
            for received in iter(lambda: source.recv(65536), b""):
                if source is client:
                    last["command"] = received
                elif self.held in last["command"]:
                    self.arrived.set()
                    self.flows.wait()
                target.sendall(received)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def hold(self, command=b"XREAD"):
        self.held = command
        self.arrived.clear()
        self.flows.clear()

    def release(self):
        self.held = b"none"
        self.flows.set()

    def close(self):
        self.release()
        for each in self.sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
