"""examples/users_flask.py and users_fastapi.py under real servers, with the devices of users."""

import contextlib
import json
import os
import re
import subprocess

import pytest
import requests

from loopback import Client, environment, EXAMPLES, free_port, python, running, wait_for

ANN, BOB, CLEO = 1, 2, 3
USERS = """
import accounts
accounts.add_user("ann", "password of ann", True, [1, 2])
accounts.add_user("bob", "password of bob", False, [1])
accounts.add_user("cleo", "password of cleo", False, [])
"""

COMMANDS = {
    "gunicorn": ["-m", "gunicorn", "--threads=50", "--graceful-timeout=1", "--no-control-socket",
                 "--bind=127.0.0.1:{port}", "users_flask:app"],
    "waitress": ["-m", "waitress", "--threads=50", "--channel-request-lookahead=1",
                 "--listen=127.0.0.1:{port}", "users_flask:app"],
    "uvicorn": ["-m", "uvicorn", "--port={port}", "--timeout-graceful-shutdown=1",
                "users_fastapi:app"],
}


class Device(requests.Session):
    """A browser of somebody who is logged in."""

    def __init__(self, url, name):
        super().__init__()
        self.url, self.name = url, name
        response = self.post_json("/login", name=name, password="password of " + name)
        assert response.status_code == 204

    def post_json(self, path, **values):
        return self.post(self.url + path, json=values, timeout=20)

    def act(self, path, **values):
        response = self.post_json(path, **values)
        assert response.status_code == 204, response.text

    def status(self):
        with Client(self.url + "/events", cookies=self.cookies) as client:
            return client.response.status_code

    @contextlib.contextmanager
    def listening(self, last=None):
        headers = {"Last-Event-ID": last} if last else {}
        with Client(self.url + "/events", timeout=60, cookies=self.cookies,
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
                    return found.group(1), json.loads(found.group(2))

    def ends(self):
        self.client.rest()
        return True


def users(command, folder, **variables):
    """A context that runs the application; its URL."""
    port = free_port()
    variables = environment(
        ACCOUNTS=os.path.join(str(folder), "accounts.db"), SECRET_KEY="for tests", **variables)
    subprocess.run(python("-c", USERS), check=True, timeout=60, cwd=EXAMPLES, env=variables)
    command = python(*[part.format(port=port) for part in command])
    return running(command, port, cwd=EXAMPLES, env=variables), "http://127.0.0.1:%d" % port


@pytest.fixture(scope="module", params=sorted(COMMANDS))
def url(request, tmp_path_factory):
    process, url = users(COMMANDS[request.param], tmp_path_factory.mktemp("users"))
    with process:
        yield url


SAID = ("note", "post", "announcement", "typing")


def test_who_hears_what(url):
    ann, bob, cleo = [Device(url, name) for name in ("ann", "bob", "cleo")]
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
    # What was missed, without "typing".
    bob.act("/rooms/1/typing")
    bob.act("/rooms/1/posts", text="missed")
    with ann.listening(at_ann.last) as again:
        assert again.next(*SAID) == ("post", {"room": 1, "from": "bob", "text": "missed"})


def test_what_is_refused(url):
    bob = Device(url, "bob")
    for path, status in [
            ("/rooms/2/posts", 403), ("/rooms/2/typing", 403), ("/rooms/2/leave", 403),
            ("/rooms/99/posts", 403), ("/announcements", 403), ("/users/99/notes", 404),
            ("/rooms/2/members/%d" % BOB, 403), ("/rooms/1/members/99", 404)]:
        assert bob.post_json(path, text="x").status_code == status, path
    assert bob.get(url + "/rooms/2", timeout=20).status_code == 403
    assert bob.post_json("/users/%d/notes" % ANN).status_code in (400, 422)
    assert bob.post_json("/users/%d/notes" % ANN, text=["x"]).status_code in (400, 422)
    # A topic is not taken from the URL.
    with bob.listening() as stream:
        assert requests.get(url + "/events?topics=room:2", cookies=bob.cookies, stream=True,
                            timeout=20).status_code == 200
        ann = Device(url, "ann")
        ann.act("/rooms/2/posts", text="secret")
        ann.act("/announcements", text="open")
        assert stream.next(*SAID) == ("announcement", "open")
    for name, password in ("ann", "password of bob"), ("nobody", ""), ("ann", ""):
        response = requests.post(url + "/login", json=dict(name=name, password=password),
                                 timeout=20)
        assert response.status_code == 403
    for path in "/logout", "/rooms/1/posts", "/announcements", "/users/%d/notes" % ANN:
        assert requests.post(url + path, json={"text": "x"}, timeout=20).status_code == 401
    assert requests.get(url + "/events", timeout=20).status_code == 401


def test_one_device_logs_out(url):
    phone, desk = Device(url, "ann"), Device(url, "ann")
    stolen = phone.cookies.copy()
    with phone.listening() as at_phone, phone.listening() as tab, desk.listening() as at_desk:
        phone.act("/logout")
        assert at_phone.ends() and tab.ends()
        assert phone.status() == 401
        assert requests.get(url + "/events", cookies=stolen, timeout=20).status_code == 401
        desk.act("/announcements", text="still here")
        assert at_desk.next(*SAID) == ("announcement", "still here")
    assert desk.status() == 200


def test_all_devices_log_out(url):
    """With cookies that the devices keep."""
    phone, desk, bob = Device(url, "ann"), Device(url, "ann"), Device(url, "bob")
    stolen = phone.cookies.copy()
    with phone.listening() as at_phone, desk.listening() as at_desk, bob.listening() as at_bob:
        desk.act("/logout/everywhere")
        bob.act("/users/%d/notes" % ANN, text="too late")
        bob.act("/rooms/1/posts", text="for bob")
        assert b"too late" not in at_phone.client.rest()
        assert b"too late" not in at_desk.client.rest()
        assert at_bob.next(*SAID)[1]["text"] == "for bob"
    phone.cookies = stolen
    assert (phone.status(), desk.status()) == (401, 401)
    assert phone.post_json("/rooms/1/posts", text="x").status_code == 401
    assert Device(url, "ann").status() == 200


def test_rooms_change(url):
    """The stream ends, and the one after it hears what its user may hear now."""
    ann, cleo = Device(url, "ann"), Device(url, "cleo")
    with cleo.listening() as stream:
        ann.act("/announcements", text="before")
        stream.next("announcement")
        ann.act("/rooms/2/members/%d" % CLEO)
        assert stream.ends()
    with cleo.listening(stream.last) as stream:
        ann.act("/rooms/2/posts", text="welcome")
        assert stream.next(*SAID) == ("post", {"room": 2, "from": "ann", "text": "welcome"})
        cleo.act("/rooms/2/leave")
        assert stream.ends()
    with cleo.listening(stream.last) as stream:
        ann.act("/rooms/2/posts", text="without cleo")
        ann.act("/announcements", text="after")
        assert stream.next(*SAID) == ("announcement", "after")


def test_who_is_here(url):
    def here():
        state = ann.get(url + "/rooms/1", timeout=20).json()
        assert state["newest"]
        return {member["name"]: member["here"] for member in state["members"]}

    def told():
        while True:
            _, value = at_ann.next("here")
            if value["name"] == "bob":
                return value["here"]

    ann, bob = Device(url, "ann"), Device(url, "bob")
    wait_for(lambda: not here()["bob"], 60)     # since the tests before
    with ann.listening() as at_ann:
        with bob.listening():
            assert told() is True
            assert here() == {"ann": True, "bob": True}
        with bob.listening():       # a reconnect
            pass
        assert told() is False
        assert here() == {"ann": True, "bob": False}
