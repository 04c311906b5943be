"""redis-server and gunicorn as processes of the load test."""

import contextlib
import glob
import os
import random
import signal
import subprocess
import sys
import tempfile
import urllib.parse

import psutil

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

from loopback import accepts, free_port, wait_for  # noqa: E402

# Name, folder, application and the path of the stream.
FEED = ("feed", os.path.join(ROOT, "examples"), "redis_feed:application", "/events/load")
PEER = ("flask-sse", HERE, "flask_sse_peer:app", "/events?channel=load")

# A worker takes its application in after it has begun to listen.
SETTINGS = """
def post_worker_init(worker):
    open(__file__.replace("gunicorn.conf.py", "ready-%d" % worker.pid), "w").close()
"""


class Servers:
    """redis-server and gunicorn as processes of ours, measured and killed; or neither."""

    def __init__(self, options, kind, stack):
        self.marks = {}
        self.base = options.url
        self.redis = self.gunicorn = None
        if self.base:
            return
        self.folder = stack.enter_context(tempfile.TemporaryDirectory())
        self.log = stack.enter_context(open(os.path.join(self.folder, "log"), "w+b"))
        stack.callback(self.stop)
        self.redis_port = free_port()
        self.start_redis()
        port = free_port()
        self.base = "http://127.0.0.1:%d" % port
        _, folder, application, _ = kind
        settings = os.path.join(self.folder, "gunicorn.conf.py")
        with open(settings, "w") as file:
            file.write(SETTINGS)
        self.gunicorn = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", settings, "-b", "127.0.0.1:%d" % port,
             "-k", options.kind, "-w", str(options.workers), "--threads", str(options.clients),
             "--worker-connections", str(options.clients + 100), "--backlog", "2048",
             "--graceful-timeout", "1", "--no-control-socket", "--chdir", folder, application],
            stdout=self.log, stderr=self.log, env=dict(
                os.environ, REDIS_URL="redis://127.0.0.1:%d/0" % self.redis_port))
        wait_for(lambda: self.ready() >= options.workers, 20)

    def ready(self):
        if self.gunicorn.poll() is not None:
            self.log.seek(0)
            sys.exit(self.log.read().decode())
        return len(glob.glob(os.path.join(self.folder, "ready-*")))

    def start_redis(self):
        self.redis = subprocess.Popen(
            ["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "",
             "--dir", self.folder, "--appendonly", "yes"], stdout=self.log, stderr=self.log)
        wait_for(lambda: accepts(self.redis_port), 20)

    def kill_redis(self):
        self.redis.kill()
        self.redis.wait()

    def kill_worker(self):
        os.kill(random.choice(self.workers()).pid, signal.SIGKILL)

    def workers(self):
        return psutil.Process(self.gunicorn.pid).children()

    def stop(self):
        for process in (self.gunicorn, self.redis):
            if process and process.poll() is None:
                process.terminate()
                process.wait()

    def mark(self, name):
        """Note what each process uses now."""
        processes = {"this program": psutil.Process()}
        if self.gunicorn:
            processes["redis-server"] = psutil.Process(self.redis.pid)
            for worker in self.workers():
                processes["worker %d" % worker.pid] = worker
        self.marks[name] = {}
        for key, process in processes.items():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                here = [each for each in process.net_connections("tcp")
                        if each.status == "ESTABLISHED" and each.laddr.port == self.port()]
                self.marks[name][key] = (process.memory_full_info().pss,
                                         times.user + times.system, len(here))

    def port(self):
        return urllib.parse.urlsplit(self.base).port

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
                cpu += ", %d streams, %.0f KiB each" % (connections, growth / max(1, connections))
                key = "worker %d" % workers
            rows.append((key, cpu))
        return rows
