"""What docs/workers.rst shows, with real servers: several workers, and a restart of all of them."""

import contextlib
import subprocess

import pytest
import requests
from docs import read
from loopback import Client, environment, free_port, python, running

pytest.importorskip("gunicorn")
pytest.importorskip("fastapi")

WORKERS = {
    "workers_flask": ["-m", "gunicorn", "-w", "4", "--threads=100", "--graceful-timeout=1",
                      "--no-control-socket", "--bind=127.0.0.1:{port}", "workers_flask:app"],
    "workers_fastapi": ["-m", "uvicorn", "--workers", "2", "--timeout-graceful-shutdown=1",
                        "--port={port}", "workers_fastapi:app"]}
STORES = ['from sqlite_store import NotConfirmed, SQLiteStore',
          'from redis_store import NotConfirmed, RedisStore'], [
    'store=SQLiteStore("events.db")', 'store=RedisStore(url, "news")']
URL = 'import os\nurl = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")\n'


@pytest.mark.parametrize("of_redis", [False, True], ids=["SQLite", "Redis"])
@pytest.mark.parametrize("name", sorted(WORKERS))
def test_several_workers(name, of_redis, store, tmp_path):
    """As it is, and with the line of the other store; also over a restart of all workers."""
    store.client.flushall()
    for copied in ("sqlite_store.py", "redis_store.py", name + ".py"):
        text = read("examples", copied)
        if copied == name + ".py":
            for pair in STORES:
                assert any(line in text for line in pair)
                text = text.replace(pair[not of_redis], pair[of_redis])
            text = text.replace("\nfrom", "\n" + URL + "from", 1)
        (tmp_path / copied).write_text(text)
    port = free_port()
    url = "http://127.0.0.1:%d" % port
    command = python(*[part.format(port=port) for part in WORKERS[name]])
    options = {"cwd": str(tmp_path), "env": environment(REDIS_URL=store.url)}
    with running(command, port, **options), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(url + "/events")) for _ in range(12)]
        begins = [client.read_until(b"\n\n") for client in clients]
        assert requests.post(url + "/add", data="hello", timeout=20).status_code == 204
        for client in clients:
            assert client.read_until(b"\n\n").startswith(b'event: news\ndata: "hello"\n')
        # In a process of its own: a cron job, or a task of Celery.
        subprocess.run(python("-c", "from %s import channel; channel.add_json('news', 'task')"
                              % name), check=True, timeout=60, **options)
        for client in clients:
            assert b'data: "task"\n' in client.read_until(b"\n\n")
        if of_redis:
            with store.away():
                assert requests.post(url + "/add", data="x", timeout=20).status_code == 503
    last = begins[0].partition(b"id: ")[2].strip().decode()
    with running(command, port, **options), \
            Client(url + "/events", headers={"Last-Event-ID": last}) as client:
        client.read_until(b"\n\n")
        for text in (b"hello", b"task"):
            assert client.read_until(b"\n\n").startswith(b'event: news\ndata: "%s"\n' % text)
