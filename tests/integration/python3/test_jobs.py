"""examples/job*.py: a job goes on without its page, and each page has its newest state at once."""

import functools
import json
import urllib.parse

import pytest
import requests
import tqdm

from loopback import Client, EXAMPLES, python, running, wait_for


# Half of the rows; then a job works on this one until there is a file "go".
HELD = """            time.sleep(0.01)
            while n == ROWS // 2 and not os.path.exists(%r):
                report(job, n=n, total=ROWS, elapsed=time.time() - start)
                time.sleep(0.05)
"""


@pytest.fixture
def job(start, tmpdir):
    """`job(name)`: the process of an example whose jobs have 40 rows, and its URL."""
    def job(name):
        process, url = start(name, "job.py", "job.html", "style.css")
        for name, before, after in [
                ("job.py", "ROWS = 400", "ROWS = 40"), ("job.py", "SILENT = 60", "SILENT = 2"),
                ("job.py", "            time.sleep(0.05)\n", HELD % str(tmpdir.join("go"))),
                ("job.html", "65000", "3000")]:
            text = tmpdir.join(name).read_text("utf-8")
            assert text.count(before) == 1
            tmpdir.join(name).write_text(text.replace(before, after), "utf-8")
        return process, url
    return job


def begin(url, query=""):
    return requests.post(url + "jobs" + query, timeout=10).json()


def state(client):
    """The next state that a client gets."""
    while True:
        block = client.read_until(b"\n\n").decode("ascii")
        if "event: state\n" in block:
            return json.loads(block.partition("data: ")[2])


def last_state(client):
    for _ in range(1000):
        last = state(client)
        if "end" in last:
            return last


# What a HEAD gets.
SERVED = pytest.mark.parametrize("name, head", [("job_flask.py", 200), ("job_fastapi.py", 405)])


@SERVED
def test_a_job(job, tmpdir, name, head):
    process, url = job(name)
    with process:
        watched = url + "jobs/" + begin(url)
        with Client(watched) as client:
            state(client)
        # It goes on without a page. One that comes, or comes back, has the newest state at once.
        with Client(watched) as one, Client(watched) as two:
            wait_for(lambda: state(one)["n"] == 20)
            wait_for(lambda: state(two)["watching"] == 2)
            with Client(watched) as late:
                first = state(late)
            assert (first["n"], first["total"]) == (20, 40) and "end" not in first
            tmpdir.join("go").write("")
            for client in one, two:
                last = last_state(client)
                assert (last["n"], last["end"]) == (40, "done")
        with Client(watched) as late:
            assert state(late)["end"] == "done"
        assert requests.head(watched, timeout=10).status_code == head
        assert requests.get(url + "jobs/unknown", timeout=10).status_code == 404
        with Client(url + "jobs/" + begin(url, "?fails=1")) as client:
            last = last_state(client)
            assert (last["end"], last["n"], last["error"]) == ("failed", 20, "row 20 has no price")


def test_the_page(job, browser, tmpdir):
    def shows(css, text):
        wait_for(lambda: text in browser.text(css), 20)

    process, url = job("job_flask.py")
    go = tmpdir.join("go")
    with process:
        browser.open(url)
        browser.click("#start")
        shows("#percent", "50%")
        assert browser.text("#state") == "Running"
        address = browser.run("return location.href")
        browser.open("about:blank")
        browser.open(address)
        shows("#percent", "50%")
        with Client(url + "jobs/" + address.partition("#")[2]):
            # Chromium sometimes keeps the page that was left, and its connection.
            wait_for(lambda: browser.text("#watching") in ("2", "3"))
            go.write("")
            shows("#said", "Done in")
        assert (browser.text("#percent"), browser.text("#done")) == ("100%", "40 of 40")
        assert browser.run("return document.title") == "Done"
        browser.click("#fail")
        shows("#said", "It failed: row 20 has no price")
        assert browser.text("#percent") == "50%"
        go.remove()
        browser.click("#start")
        shows("#state", "Running")
    shows("#state", "Reconnecting")
    # The job ended with its server.
    port = urllib.parse.urlsplit(url).port
    with running(python(str(tmpdir.join("job_flask.py"))), port, cwd=str(tmpdir)):
        shows("#said", "It failed: its server was stopped")
        browser.open("about:blank")
        browser.open(url + "#unknown")
        shows("#state", "No such job")


def test_a_job_goes_on_when_nothing_can_be_announced(monkeypatch, tmpdir):
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.chdir(tmpdir)
    import job
    monkeypatch.setattr(job, "ROWS", 3)
    name = job.new()
    job.channel.close()     # as when the server stops, or a store is away
    job.run(name, False)
    assert (job.newest(name)["n"], job.newest(name)["end"]) == (3, "done")


def test_tqdm(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import job
    states = []
    monkeypatch.setattr(job, "report", lambda job, **state: states.append(state))
    # By default it shows a row at most every tenth of a second.
    monkeypatch.setattr(tqdm, "tqdm", functools.partial(tqdm.tqdm, mininterval=0))
    job.run_with_tqdm("name", ["a", "b", "c"])
    assert [state["n"] for state in states if "end" not in state][:3] == [1, 2, 3]
    assert all(state["total"] == 3 and state["elapsed"] >= 0 for state in states)
    assert (states[-1]["n"], states[-1]["end"]) == (3, "done")
