"""redis-server, or an SQLite file, and gunicorn or uvicorn as processes of the load test."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile

import psutil

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

from loopback import accepts, free_port, wait_for  # noqa: E402

# Modules of this folder.
FEED, PEER = "feed", "flask_sse_peer"

# A worker takes its application in after it has begun to listen.
SETTINGS = """
def post_worker_init(worker):
    worker.log.info("Application startup complete")     # as uvicorn says it
"""


class Servers:
    """redis-server and the feed's servers, measured and killed."""

    def __init__(self, options, feed, stack):
        self.marks = {}
        self.options = options
        self.redis = None
        self.servers = []
        self.folder = stack.enter_context(tempfile.TemporaryDirectory())
        self.log = stack.enter_context(open(os.path.join(self.folder, "log"), "w+b"))
        stack.callback(self.stop)
        where = os.path.join(self.folder, "events.db")
        if options.store == "redis" or feed == PEER:
            self.redis_port = free_port()
            where = "redis://127.0.0.1:%d/0" % self.redis_port
            self.start_redis()
        servers = options.workers if options.move else 1
        self.ports = [free_port() for _ in range(servers)]
        settings = os.path.join(self.folder, "gunicorn.conf.py")
        with open(settings, "w") as file:
            file.write(SETTINGS)
        for port in self.ports:
            self.servers.append(subprocess.Popen(
                self.command(settings, port, options.workers // servers, feed),
                stdout=self.log, stderr=self.log, env=dict(
                    os.environ, STORE=where,
                    PYTHONPATH=os.pathsep.join([ROOT, os.path.join(ROOT, "examples")]))))
        wait_for(self.ready, 60)

    def command(self, settings, port, workers, module):
        options = self.options
        if options.kind == "uvicorn" and module == FEED:
            return [sys.executable, "-m", "uvicorn", "--port", str(port), "--workers", str(workers),
                    "--backlog", "2048", "--no-access-log", "--app-dir", HERE, module + ":asgi"]
        return [sys.executable, "-m", "gunicorn", "-c", settings, "-b", "127.0.0.1:%d" % port,
                "-k", options.kind.replace("uvicorn", "gevent"), "-w", str(workers),
                "--threads", str(options.clients),
                "--worker-connections", str(options.clients + 100), "--backlog", "2048",
                "--graceful-timeout", "1", "--no-control-socket", "--chdir", HERE,
                module + ":application"]

    def ready(self):
        self.log.seek(0)
        log = self.log.read()
        if any(server.poll() is not None for server in self.servers):
            sys.exit(log.decode())
        return log.count(b"startup complete") >= self.options.workers

    def start_redis(self):
        self.redis = subprocess.Popen(
            ["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "",
             "--dir", self.folder, "--appendonly", "yes", "--appendfsync", "always"],
            stdout=self.log, stderr=self.log)
        wait_for(lambda: accepts(self.redis_port), 20)

    def kill_redis(self):
        self.redis.kill()
        self.redis.wait()

    def kill_worker(self):
        os.kill(random.choice(self.workers()).pid, signal.SIGKILL)

    def workers(self):
        """The processes that hold connections: a server's children, or itself if it has none."""
        found = []
        for server in map(psutil.Process, [server.pid for server in self.servers]):
            found += [child for child in server.children()
                      if "resource_tracker" not in " ".join(child.cmdline())] or [server]
        return found

    def stop(self):
        for process in self.servers + [self.redis]:
            if process and process.poll() is None:
                process.terminate()
                process.wait()

    def mark(self, name):
        """Note what each process uses now."""
        processes = {"this program": psutil.Process()}
        if self.redis:
            processes["redis-server"] = psutil.Process(self.redis.pid)
        for worker in self.workers():
            processes["worker %d" % worker.pid] = worker
        self.marks[name] = {}
        for key, process in processes.items():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                here = [each for each in process.net_connections("tcp")
                        if each.status == "ESTABLISHED"]
                streams = [each for each in here if each.laddr.port in self.ports]
                self.marks[name][key] = (process.memory_full_info().pss,
                                         times.user + times.system, len(streams),
                                         len(here) - len(streams))

    def rows(self, took):
        """CPU and, where connections are held, memory for each of them; of each process."""
        rows = []
        idle, loaded, done = (self.marks[name] for name in ("idle", "loaded", "done"))
        workers = 0
        for key in sorted(done):
            if key not in loaded:
                continue        # began on the way
            cpu = "%.0f %% of a core" % (100 * (done[key][1] - loaded[key][1]) / took)
            if key.startswith("worker"):
                workers += 1
                connections = loaded[key][2]
                growth = (max(loaded[key][0], done[key][0]) - idle[key][0]) / 1024
                cpu += ", %d streams, %.0f KiB each, %d other connections" % (
                    connections, growth / max(1, connections), done[key][3])
                key = "worker %d" % workers
            rows.append((key, cpu))
        return rows
