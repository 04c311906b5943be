"""examples/users_flask.py and users_fastapi.py under real servers, with the devices of users."""

import contextlib
import itertools
import json
import os
import re
import shutil
import subprocess
import time

import psutil
import pytest
import requests
from docs import read

from loopback import Client, environment, EXAMPLES, free_port, python, running, wait_for

ANN, BOB, CLEO = 1, 2, 3
USERS = """
import accounts
accounts.add_user("ann", "password of ann", True, [1, 2])
accounts.add_user("bob", "password of bob", False, [1])
accounts.add_user("cleo", "password of cleo", False, [])
"""

GUNICORN = ["-m", "gunicorn", "--threads=50", "--graceful-timeout=1", "--no-control-socket",
            "--bind=127.0.0.1:{port}", "users_flask:app"]
WAITRESS = ["-m", "waitress", "--threads=50", "--channel-request-lookahead=1",
            "--listen=127.0.0.1:{port}", "users_flask:app"]
UVICORN = ["-m", "uvicorn", "--port={port}", "--timeout-graceful-shutdown=1", "users_fastapi:app"]

# What changes in the applications. Who has left is known sooner, but for one kind.
CHANNEL = "channel = Channel(history=1000)"
PRESENCE = 'presence = SQLitePresence("presence.db", '
SOONER = {"keepalive=5": "keepalive=1", '"user:%d", changed)': '"user:%d", changed, 3, 0.5)'}
SQLITE = {CHANNEL: """from sqlite_store import SQLiteStore
channel = Channel(history=1000, store=SQLiteStore("events.db"))"""}
REDIS = {CHANNEL: """import redis
from redis_store import RedisStore
from shared_presence import RedisPresence
URL = os.environ["REDIS_URL"]
channel = Channel(history=1000, store=RedisStore(URL, "events"))""",
         PRESENCE: 'presence = RedisPresence(redis.Redis.from_url(URL), "presence", '}

# The command of each machine, how many there are, and what changes.
KINDS = {
    "gunicorn": (GUNICORN, 1, {}),
    "waitress": (WAITRESS, 1, {}),
    "uvicorn": (UVICORN, 1, {}),
    "gunicorn, four workers": (GUNICORN + ["-w", "4", "--preload"], 1, SQLITE),
    "uvicorn, four workers": (UVICORN + ["--workers", "4"], 1, SQLITE),
    "gunicorn, two machines": (GUNICORN + ["-w", "2"], 2, REDIS),
    "uvicorn, two machines": (UVICORN + ["--workers", "2"], 2, REDIS),
}


class Device(requests.Session):
    """A browser of somebody who is logged in. Each request goes to the next machine."""

    def __init__(self, machines, name):
        super().__init__()
        self.urls = itertools.cycle(machines)
        self.act("/login", name=name, password="password of " + name)

    def post_json(self, path, **values):
        return self.post(next(self.urls) + path, json=values, timeout=20)

    def act(self, path, **values):
        response = self.post_json(path, **values)
        assert response.status_code == 204, response.text

    def status(self):
        with Client(next(self.urls) + "/events", cookies=self.cookies) as client:
            return client.response.status_code

    @contextlib.contextmanager
    def listening(self, last=None):
        headers = {"Last-Event-ID": last} if last else {}
        with Client(next(self.urls) + "/events", timeout=60, cookies=self.cookies,
                    headers=headers) as client:
            assert client.response.status_code == 200
            stream = Stream(client)
            stream.client.read_until(b"\n\n")       # retry, and the newest id
            yield stream


class Stream(object):

    def __init__(self, client):
        self.client, self.last = client, None

    def next(self, *kinds):
        """The next event of these kinds: kind and value."""
        while True:
            block = self.client.read_until(b"\n\n").decode()
            found = re.search("^event: (.*)\ndata: (.*)\n(?:id: (.*)\n)?", block, re.M)
            if found:
                self.last = found.group(3) or self.last
                if found.group(1) in kinds:
                    assert bool(found.group(3)) == (found.group(1) != "typing")     # kept
                    return found.group(1), json.loads(found.group(2))

    def ends(self):
        """What still comes. It ends soon, and not because of the look each ten seconds."""
        began, read = time.monotonic(), b""
        for byte in self.client._bytes:
            read += byte
            assert time.monotonic() - began < 7
        assert time.monotonic() - began < 7
        return read


@pytest.fixture(scope="module", params=sorted(KINDS))
def machines(request, tmp_path_factory):
    """The URL of each machine that has the application, and its process."""
    command, count, lines = KINDS[request.param]
    sooner = {} if request.param == "uvicorn, four workers" else SOONER
    folder = tmp_path_factory.mktemp("users")
    path = [str(folder), os.path.abspath(EXAMPLES), os.environ.get("PYTHONPATH", "")]
    variables = environment(ACCOUNTS=str(folder / "accounts.db"), SECRET_KEY="for tests",
                            PYTHONPATH=os.pathsep.join(path))
    if lines is REDIS:
        variables["REDIS_URL"] = request.getfixturevalue("store").url
    subprocess.run(python("-c", USERS), check=True, timeout=60, env=variables)
    for name in "users_flask.py", "users_fastapi.py":
        text = read("examples", name)
        for before, after in {**lines, **sooner}.items():
            assert text.count(before) == 1
            text = text.replace(before, after)
        (folder / name).write_text(text)
    shutil.copy(os.path.join(EXAMPLES, "users.html"), str(folder))
    machines = {}
    with contextlib.ExitStack() as stack:
        for number in range(count):
            port, own = free_port(), folder / str(number)
            own.mkdir()
            machines["http://127.0.0.1:%d" % port] = stack.enter_context(running(
                python(*[part.format(port=port) for part in command]), port,
                cwd=str(own), env=variables))
        yield machines


@pytest.fixture
def url(machines):
    return next(iter(machines))


SAID = ("note", "post", "announcement", "typing")


def test_who_hears_what(machines):
    ann, bob, cleo = [Device(machines, name) for name in ("ann", "bob", "cleo")]
    with ann.listening() as at_ann, bob.listening() as at_bob, cleo.listening() as at_cleo:
        bob.act("/users/%d/notes" % ANN, text="for ann")
        bob.act("/rooms/1/typing")
        bob.act("/rooms/1/posts", text="in 1")
        ann.act("/rooms/2/posts", text="in 2")
        ann.act("/announcements", text="\u2028<b>for all</b>")
        note = "note", {"from": "bob", "text": "for ann"}
        typing = "typing", {"room": 1, "from": "bob"}
        one = "post", {"room": 1, "from": "bob", "text": "in 1"}
        two = "post", {"room": 2, "from": "ann", "text": "in 2"}
        announcement = "announcement", "\u2028<b>for all</b>"
        assert [at_ann.next(*SAID) for _ in range(5)] == [note, typing, one, two, announcement]
        assert [at_bob.next(*SAID) for _ in range(3)] == [typing, one, announcement]
        assert at_cleo.next(*SAID) == announcement
    bob.act("/rooms/1/posts", text="missed")
    with ann.listening(at_ann.last) as again:
        assert again.next(*SAID) == ("post", {"room": 1, "from": "bob", "text": "missed"})


@pytest.mark.parametrize("machines", ["gunicorn", "uvicorn"], indirect=True)
def test_what_is_refused(machines, url):
    ann, bob = Device(machines, "ann"), Device(machines, "bob")
    note, somebody = "/users/%d/notes" % ANN, requests.Session()

    def status(session, path, method="POST", **request):
        with session.request(method, url + path, timeout=20, stream=True, **request) as response:
            return response.status_code

    for path, expected in [
            ("/rooms/2/posts", 403), ("/rooms/2/typing", 403), ("/rooms/2/leave", 403),
            ("/rooms/99/posts", 403), ("/announcements", 403), ("/users/99/notes", 404),
            ("/rooms/2/members/%d" % BOB, 403), ("/rooms/1/members/99", 404)]:
        assert status(bob, path, json={"text": "x"}) == expected, path
    assert status(bob, "/rooms/2", "GET") == 403
    for body in "", "[]", "{}", '{"text"', '"text"', '{"text": ["x"]}':
        headers = {"Content-Type": "application/json"}
        assert status(bob, note, data=body, headers=headers) in (400, 422), body
    # A topic is not taken from the URL.
    with Client(url + "/events?topics=room:2", cookies=bob.cookies) as client:
        ann.act("/rooms/2/posts", text="secret")
        ann.act("/announcements", text="open")
        assert Stream(client).next(*SAID) == ("announcement", "open")
    for name, password in ("ann", "password of bob"), ("nobody", ""), ("ann", ""):
        login = dict(name=name, password=password)
        assert status(somebody, "/login", json=login) == 403
    for path in "/logout", "/logout/everywhere", "/rooms/1/posts", "/announcements", note:
        assert status(somebody, path, json={"text": "x"}) == 401
    assert status(somebody, "/events", "GET") == 401


def test_one_device_logs_out(machines, url):
    phone, desk = Device(machines, "ann"), Device(machines, "ann")
    stolen = phone.cookies.copy()
    with phone.listening() as at_phone, phone.listening() as tab, desk.listening() as at_desk:
        phone.act("/logout")
        at_phone.ends()
        tab.ends()
        assert phone.status() == 401
        assert requests.get(url + "/events", cookies=stolen, timeout=20).status_code == 401
        desk.act("/announcements", text="still here")
        assert at_desk.next(*SAID) == ("announcement", "still here")
    assert desk.status() == 200


def test_all_devices_log_out(machines):
    """With cookies that the devices keep."""
    phone, desk, bob = Device(machines, "ann"), Device(machines, "ann"), Device(machines, "bob")
    stolen = phone.cookies.copy()
    with phone.listening() as at_phone, desk.listening() as at_desk, bob.listening() as at_bob:
        desk.act("/logout/everywhere")
        bob.act("/users/%d/notes" % ANN, text="too late")
        bob.act("/rooms/1/posts", text="for bob")
        assert b"too late" not in at_phone.ends()
        assert b"too late" not in at_desk.ends()
        assert at_bob.next(*SAID)[1]["text"] == "for bob"
    phone.cookies = stolen
    assert (phone.status(), desk.status()) == (401, 401)
    assert phone.post_json("/rooms/1/posts", text="x").status_code == 401
    assert Device(machines, "ann").status() == 200


@pytest.mark.parametrize("machines, browser", [
    ("gunicorn", "chromium"), ("uvicorn", "firefox"), ("gunicorn", "webkit")], indirect=True)
def test_the_page(machines, url, browser):
    def lines():
        return browser.run("return [...document.querySelectorAll('li')]"
                           ".map(each => each.textContent)")

    def log_in():
        browser.wait_for("!document.getElementById('login').hidden", 20)
        browser.type("[name=name]", "ann")
        browser.type("[name=password]", "password of ann")
        browser.click("#login button")
        browser.wait_for("!document.getElementById('app').hidden")

    ann, bob = Device(machines, "ann"), Device(machines, "bob")
    browser.open(url)
    log_in()
    wait_for(lambda: bob.act("/rooms/1/typing")
             or browser.text("p") == "bob is typing in room 1", 20)
    bob.act("/rooms/1/posts", text="<b>hello</b>")
    wait_for(lambda: "bob in room 1: <b>hello</b>" in lines())
    browser.type("[name=text]", "to room 1")
    browser.click("#send button")
    wait_for(lambda: "ann in room 1: to room 1" in lines())
    # Her other device logs all out. What she misses until she logs in again arrives, once.
    ann.act("/logout/everywhere")
    bob.act("/users/%d/notes" % ANN, text="missed")
    assert "bob to you: missed" not in lines()
    log_in()
    wait_for(lambda: "bob to you: missed" in lines())
    said = [line for line in lines() if ":" in line]
    assert len(said) == len(set(said)) == 3
    browser.click("#logout")
    browser.wait_for("!document.getElementById('login').hidden", 20)


def test_rooms_change(machines):
    """The stream ends, and the one after it hears what its user may hear now."""
    ann, cleo = Device(machines, "ann"), Device(machines, "cleo")
    with cleo.listening() as stream:
        ann.act("/announcements", text="before")
        stream.next("announcement")
        ann.act("/rooms/2/members/%d" % CLEO)
        stream.ends()
    with cleo.listening(stream.last) as stream:
        ann.act("/rooms/2/posts", text="welcome")
        assert stream.next(*SAID) == ("post", {"room": 2, "from": "ann", "text": "welcome"})
        cleo.act("/rooms/2/leave")
        stream.ends()
    with cleo.listening(stream.last) as stream:
        ann.act("/rooms/2/posts", text="without cleo")
        ann.act("/announcements", text="after")
        assert stream.next(*SAID) == ("announcement", "after")


def heard_of_bob(stream):
    """Whether he is here, as the stream is told next."""
    while True:
        _, value = stream.next("here")
        if value["name"] == "bob":
            return value["here"]


def members(device):
    state = device.get(next(device.urls) + "/rooms/1", timeout=20).json()
    assert state["newest"]
    return {member["name"]: member["here"] for member in state["members"]}


def test_who_is_here(machines):
    ann, bob = Device(machines, "ann"), Device(machines, "bob")
    wait_for(lambda: not members(ann)["bob"], 60)       # since the tests before
    with ann.listening() as at_ann:
        with bob.listening():
            while not heard_of_bob(at_ann):             # that he left, before
                pass
            assert members(ann) == {"ann": True, "bob": True}
        with bob.listening(), bob.listening():      # a reconnect, to any worker
            ann.act("/rooms/1/posts", text="x")
        assert heard_of_bob(at_ann) is False
        assert members(ann) == {"ann": True, "bob": False}


def worker_of(stream, machines):
    """The process that has the other end of this connection."""
    port = stream.client.response.raw.connection.sock.getsockname()[1]
    for process in machines.values():
        for child in psutil.Process(process.pid).children(recursive=True):
            if any(end.raddr and end.raddr.port == port for end in child.net_connections()):
                return child
    raise AssertionError("nobody has it")


@pytest.mark.parametrize("machines", [kind for kind in sorted(KINDS) if "," in kind],
                         indirect=True)
def test_a_worker_is_killed(machines):
    ann, bob = Device(machines, "ann"), Device(machines, "bob")
    wait_for(lambda: not members(ann)["bob"], 60)
    with contextlib.ExitStack() as stack:
        worker = worker_of(stack.enter_context(bob.listening()), machines)
        wait_for(lambda: members(ann)["bob"])
        stream = stack.enter_context(ann.listening())
        while worker_of(stream, machines) == worker:
            stream = stack.enter_context(ann.listening())
        worker.kill()
        killed = time.monotonic()
        while heard_of_bob(stream):
            pass
        assert time.monotonic() - killed < 10
        assert members(ann)["bob"] is False
        time.sleep(3)       # it is told once, though each worker looks
        ann.act("/announcements", text="end")
        kind, value = stream.next("here", "announcement")
        while kind != "announcement":
            assert value["name"] != "bob"
            kind, value = stream.next("here", "announcement")
