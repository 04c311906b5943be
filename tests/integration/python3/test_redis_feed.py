"""examples/redis_feed.py under gunicorn and uvicorn with several workers, and a real Redis."""

import contextlib
import http.client
import itertools
import os
import signal
import socket
import threading
import time

import pytest
import requests
from loopback import environment, EXAMPLES, free_port, python, running, wait_for
from redis_server import Wire

pytest.importorskip("gunicorn")
pytest.importorskip("gevent")
pytest.importorskip("uvicorn")
if not os.path.exists("/proc/self/task/%d/children" % os.getpid()):
    pytest.skip("the workers are found in Linux's /proc", allow_module_level=True)

FORM = "application/x-www-form-urlencoded"

RESET = None, "reset", ""

numbers = itertools.count()


def command(kind, port, workers):
    if kind == "uvicorn":
        return python("-m", "uvicorn", "--app-dir", EXAMPLES, "--port", str(port),
                      "--workers", str(workers), "redis_feed:asgi")
    more = ["--threads", "200"] if kind == "gthread" else []
    return python("-m", "gunicorn", "-b", "127.0.0.1:%d" % port, "--graceful-timeout", "1",
                  "--chdir", EXAMPLES, "--no-control-socket", "-k", kind, "-w", str(workers),
                  "redis_feed:application", *more)


class Feed(object):
    """A running feed, and a new channel of it for each test."""

    def __init__(self, process, port, store):
        self.process = process
        self.port = port
        self.store = store
        self.base = "http://127.0.0.1:%d" % port

    def publish(self, **options):
        return requests.post(self.base + "/publish/" + self.channel, timeout=20, **options)

    def published(self, count, more=""):
        """Publish that many; a list of the (id, event, data) that every client has to get."""
        sent = []
        with requests.Session() as session:
            for _ in range(count):
                fields = {"event": "e", "data": "number %d%s" % (next(numbers), more)}
                answer = session.post(self.base + "/publish/" + self.channel, fields, timeout=20)
                assert answer.status_code == 202, answer.text
                sent.append((answer.text, "e", fields["data"]))
        return sent

    def workers(self):
        pid = self.process.pid
        with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
            return [int(child) for child in file.read().split() if not tracker(child)]


def tracker(pid):
    """Whether it is multiprocessing's, beside the workers of uvicorn."""
    with open("/proc/%s/cmdline" % pid) as file:
        return "resource_tracker" in file.read()


@contextlib.contextmanager
def serving(kind, workers, store, url=None):
    port = free_port()
    with running(command(kind, port, workers), port,
                 env=environment(REDIS_URL=url or store.url)) as process:
        yield Feed(process, port, store)


@pytest.fixture(scope="module", params=[("gevent", 4), ("gthread", 2), ("uvicorn", 2)],
                ids=lambda param: param[0])
def server(request, store):
    with serving(*request.param, store) as feed:
        yield feed


@pytest.fixture
def feed(server):
    server.channel = "c%d" % next(numbers)
    return server


class Follower(threading.Thread):
    """A client that reconnects as browsers do, only sooner, and keeps what it gets."""

    def __init__(self, feed, last=None):
        super(Follower, self).__init__(daemon=True)
        self.address = feed.port, "/events/" + feed.channel
        self.last = last
        self.events = []
        self.connections = 0
        self.ended = False

    def __enter__(self):
        self.start()
        self.connected()
        return self

    def connected(self):
        wait_for(lambda: self.connections, 20)

    def __exit__(self, *_):
        self.ended = True
        self.drop()
        self.join(20)

    def drop(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def run(self):
        while not self.ended:
            connection = http.client.HTTPConnection("127.0.0.1", self.address[0], timeout=40)
            with contextlib.suppress(OSError, http.client.HTTPException), \
                    contextlib.closing(connection):
                connection.connect()
                self.sock = connection.sock
                connection.request("GET", self.address[1], headers={
                    "Last-Event-ID": self.last} if self.last else {})
                response = connection.getresponse()
                self.read(response)
            time.sleep(0.05)

    def read(self, response):
        assert response.status == 200
        fields, opened = {}, False
        for line in iter(response.readline, b""):
            if line.startswith(b":"):
                continue
            name, _, value = line.decode("utf-8").rstrip("\n").partition(": ")
            if name:
                fields[name] = fields[name] + "\n" + value if name in fields else value
                continue
            self.last = fields.get("id", self.last)
            if fields.get("event") == "reset":
                fields["id"] = None     # whatever it is
            if "data" in fields:
                self.events.append(tuple(map(fields.get, ("id", "event", "data"))))
            if not opened:
                opened = True
                self.connections += 1
            fields = {}

    def got(self, expected):
        """Wait for the last of them; then it must have been exactly these."""
        with contextlib.suppress(AssertionError):
            wait_for(lambda: expected[-1] in self.events, 30)
        assert self.events == expected


@contextlib.contextmanager
def followers(feed, count, last=None):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Follower(feed, last)) for _ in range(count)]


def test_one_reader_for_each_process_feeds_the_clients_of_all(feed):
    with followers(feed, 20) as clients:
        sent = feed.published(30)
        for client in clients:
            client.got(sent)
        wait_for(lambda: 0 < feed.store.readers() <= len(feed.workers()))


def test_a_dropped_client_gets_what_it_missed(feed):
    with followers(feed, 4) as clients:
        sent = []
        for client in clients:
            sent += feed.published(10)
            client.drop()
            sent += feed.published(10)
        for client in clients:
            client.got(sent)
            assert client.connections == 2


def test_a_client_dropped_before_its_first_event_loses_nothing(feed):
    with Follower(feed) as client:
        client.ended = True
        client.drop()
        client.join()
        sent = feed.published(3)
        with Follower(feed, client.last) as again:
            again.got(sent)


def test_a_killed_worker(feed):
    with followers(feed, 12) as clients:
        sent = feed.published(10)
        for worker in feed.workers():
            os.kill(worker, signal.SIGKILL)
            with contextlib.suppress(AssertionError):
                wait_for(lambda: any(client.connections > 1 for client in clients), 2)
                break
        # Where the killed one was to answer, it is not known what it published.
        sent += feed.published(10)
        for client in clients:
            client.got(sent)
        assert any(client.connections > 1 for client in clients)


def test_redis_killed_and_started_again(feed):
    with followers(feed, 8) as clients, contextlib.ExitStack() as stack:
        sent = feed.published(10)
        for client in clients:
            client.got(sent)
        new, resumed = Follower(feed), Follower(feed, sent[4][0])
        with feed.store.away():
            refused = feed.publish(data={"data": "x"})
            assert (refused.status_code, refused.text) == (
                503, "Redis is unreachable: the event may not have been published")
            for client in new, resumed:
                client.start()
                stack.callback(client.__exit__)
        for client in new, resumed:
            client.connected()
        more = feed.published(10)
        for client in clients:
            client.got(sent + more)
            assert client.connections == 1
        new.got(more)
        resumed.got(sent[5:] + more)


@pytest.mark.parametrize("kind", ["gevent", "uvicorn"])
def test_a_client_moves_to_a_worker_that_is_held_back(store, kind):
    """What it got last is not known there yet: not a gap, and not to be sent again."""
    with Wire(store) as wire, serving(kind, 1, store) as fast, \
            serving(kind, 1, store, wire.url) as slow:
        fast.channel = slow.channel = "c%d" % next(numbers)
        with Follower(fast) as client, Follower(slow) as other:
            sent = fast.published(3)
            other.got(sent)
            wire.hold()
            sent += fast.published(5)
            client.got(sent)
            assert wire.arrived.wait(10)
            client.address = slow.port, client.address[1]
            client.drop()
            time.sleep(0.5)     # it waits
            assert other.events == sent[:3]
            wire.release()
            sent += slow.published(3)
            client.got(sent)
            other.got(sent)


def test_the_seam_between_replay_and_live(feed):
    """Clients come at any moment, from any place, while entries arrive as fast as they can."""
    sent = feed.published(120)
    publisher = threading.Thread(target=lambda: sent.extend(feed.published(300)))
    publisher.start()
    with contextlib.ExitStack() as stack:
        clients = []
        for begin in itertools.cycle([0, 50, 119, 100, 110]):
            clients.append((begin, stack.enter_context(Follower(feed, sent[begin][0]))))
            if not publisher.is_alive() or len(clients) == 30:
                break
        publisher.join()
        assert len(clients) > 5
        for begin, client in clients:
            client.got(sent[begin + 1:])


@pytest.mark.parametrize("keep, last, told", [
    (6, 0, False),
    (2, 0, True),
    (2, 2, True),
    (2, 4, False),
    (2, 5, False),
    (0, 4, True),
])
def test_of_trimmed_entries_a_client_is_told(feed, keep, last, told):
    sent = feed.published(6)
    feed.store.client.xtrim("sse:channel:" + feed.channel, maxlen=keep, approximate=False)
    rest = [RESET] * told + sent[max(last + 1, 6 - keep):]
    with Follower(feed, sent[last][0]) as client:
        client.got(([RESET] if not keep else []) + rest + feed.published(1))


def test_a_slow_client_is_closed_and_reconnects(feed):
    sent = feed.published(1)
    with Follower(feed) as fast, contextlib.closing(socket.socket()) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(20)
        slow.connect(("127.0.0.1", feed.port))
        slow.sendall(("GET /events/%s HTTP/1.0\r\nLast-Event-ID: %s\r\n\r\n"
                      % (feed.channel, sent[0][0])).encode())
        read = slow.recv(1)
        sent += feed.published(160, " " + "x" * 60000)
        fast.got(sent[1:])
        end = time.time() + 30
        for piece in iter(lambda: slow.recv(65536), b""):
            read += piece
            assert time.time() < end, "it was not closed"
    ids = [line[4:].decode() for line in read.split(b"\n") if line.startswith(b"id: ")]
    assert 0 < len(ids) < 160
    assert ids == [entry[0] for entry in sent[1:1 + len(ids)]]
    with Follower(feed, ids[-1]) as client:
        client.got(sent[1 + len(ids):])


@pytest.mark.parametrize("last", [
    "0", "1-", "x", "1-1-1", "-1-0", "1-1 or so", "18446744073709551616-0", "9999999999999-0",
    "0-18446744073709551616", "\u0661-\u0661".encode("utf-8"), "0-0\t0-0", "9" * 2000])
def test_of_an_id_that_nobody_gave_it_a_client_is_told(feed, last):
    sent = feed.published(2)
    with Follower(feed, last) as client:
        client.got([RESET] + sent + feed.published(1))


@pytest.mark.parametrize("event, data, arrives", [
    (None, "", ""),
    ("", "a\r\nb\rc\nd\n", "a\nb\nc\nd\n"),
    ("\u4e16\u754c: x", " \u2028\x85\x0b\0\ufeff \U0001f600", " \u2028\x85\x0b\0\ufeff \U0001f600"),
    ("e", "data: x\n\nid: 7", "data: x\n\nid: 7"),
])
@pytest.mark.parametrize("kind", ["data", "json"])
def test_what_is_published_is_what_arrives(feed, event, data, arrives, kind):
    with Follower(feed) as client:
        fields = {"data": data} if event is None else {"data": data, "event": event}
        answer = feed.publish(**{kind: fields})
        assert answer.status_code == 202
        client.got([(answer.text, event, arrives)])


def test_the_largest_entry_fits(feed):
    with Follower(feed) as client:
        answer = feed.publish(data="data=" + 65531 * "\n", headers={"Content-Type": FORM})
        client.got([(answer.text, None, 65531 * "\n")])


@pytest.mark.parametrize("kind, body, status, why", [
    (FORM, "data=" + 65532 * "x", 413, "the body is over 65536 bytes"),
    (FORM, 3000000 * "x", 413, "the body is over 65536 bytes"),
    (FORM, "", 400, "data must be given"),
    (FORM, "event=e", 400, "data must be given"),
    (FORM, "data=x&event=a%0Adata%3A+b", 400, "event must be one line (U+000A at index 1)"),
    (FORM, "data=x&event=a%0D", 400, "event must be one line (U+000D at index 1)"),
    (FORM, "data=%FF", 400, "'utf-8' codec can't decode"),
    (FORM, b"data=\xff", 400, "'utf-8' codec can't decode"),
    (FORM, "data=%ED%A0%80", 400, "'utf-8' codec can't decode"),
    ("application/json", "data=x", 400, "Expecting value"),
    ("application/json", "[]", 400, "data must be given"),
    ("application/json", "[" * 60000, 400, "maximum recursion depth"),
    ("application/json", '{"data": 1}', 400, "data must be given"),
    ("application/json", '{"data": ["x"]}', 400, "data must be given"),
    ("application/json", '{"data": null}', 400, "data must be given"),
    ("application/json", '{"data": "x", "event": 1}', 400, "event must be text"),
    ("application/json", r'{"data": "\ud800"}', 400, "'utf-8' codec can't encode"),
    ("application/json", r'{"data": "x", "event": "\ud800"}', 400, "'utf-8' codec can't encode"),
    ("text/plain", "data=x", 400, "the body must be a form"),
])
def test_bad_input_is_refused_with_the_reason(feed, kind, body, status, why):
    body = body if isinstance(body, bytes) else body.encode("utf-8")
    answer = feed.publish(data=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.text[:len(why)]) == (status, why)
    assert not feed.store.client.exists("sse:channel:" + feed.channel)


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/events/", 404), ("GET", "/events/a.b", 404), ("GET", "/events/a%0A", 404),
    ("GET", "/events/" + 65 * "a", 404), ("POST", "/publish/a/b", 404), ("POST", "/events/a", 405),
    ("GET", "/publish/a", 405), ("PUT", "/", 405), ("GET", "/x", 404), ("POST", "/publish/a", 400),
    ("GET", "/", 200), ("HEAD", "/", 200), ("HEAD", "/events/" + 64 * "a", 200),
    ("GET", "/style.css", 200),
])
def test_places(feed, method, path, status):
    connection = http.client.HTTPConnection("127.0.0.1", feed.port, timeout=20)
    with contextlib.closing(connection):
        connection.putrequest(method, path)
        if method == "POST":
            connection.putheader("Content-Length", "0")
        connection.endheaders()
        assert connection.getresponse().status == status


def test_a_body_that_is_cut_short_is_not_published(feed):
    with socket.create_connection(("127.0.0.1", feed.port), 20) as sock:
        sock.sendall(("POST /publish/%s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n"
                      "Content-Length: 10\r\n\r\ndata=" % (feed.channel, FORM)).encode())
        sock.shutdown(socket.SHUT_WR)
        assert b" 202 " not in sock.recv(1000)
    assert not feed.store.client.exists("sse:channel:" + feed.channel)


def test_a_channel_without_clients_is_not_read(feed):
    key = "sse:channel:" + feed.channel
    with feed.store.client.monitor() as monitor:
        with Follower(feed) as client:
            client.got(feed.published(1))
            wait_for(lambda: key in next_read(monitor), 20)
        feed.published(2)
        wait_for(lambda: key not in next_read(monitor), 20)


def next_read(monitor):
    """The next blocking XREAD, as text."""
    return next(each["command"] for each in monitor.listen() if " BLOCK " in each["command"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_uvicorn_ends_at_once(store, number):
    port = free_port()
    with running(command("uvicorn", port, 1), port,
                 env=environment(REDIS_URL=store.url)) as process:
        with requests.get("http://127.0.0.1:%d/events/a" % port, stream=True, timeout=20) as answer:
            chunks = answer.iter_content(None)
            next(chunks)
            process.send_signal(number)
            assert b"".join(chunks) == b""      # a proper end
        process.wait(5)


def test_the_page(store, browser):
    """Events of any type, how many are connected, and plain words while Redis is unreachable."""
    with serving("uvicorn", 2, store) as feed:
        feed.channel = "c%d" % next(numbers)
        browser.open(feed.base)
        browser.type("#channel", feed.channel)
        browser.click("#watch button")
        with Follower(feed):
            wait_for(lambda: browser.text("#state") == "2 connected", 30)
        feed.publish(data={"data": "published elsewhere", "event": "of-any type"})
        browser.type("#type", "mine")
        browser.type("#data", "two words")
        browser.click("#publish button")
        wait_for(lambda: browser.texts("#events td:nth-child(n+2)") == [
            "mine", "two words", "of-any type", "published elsewhere"])
        wait_for(lambda: browser.text("#state") == "1 connected", 30)
        with feed.store.away():
            browser.type("#data", "x")
            browser.click("#publish button")
            wait_for(lambda: "the event may not have been published." in browser.text("#told"), 20)
            wait_for(lambda: browser.text("#told") == (
                "Redis is unreachable: events arrive when it is back."), 30)
        wait_for(lambda: browser.text("#state") == "1 connected" and not browser.text("#told"), 30)
