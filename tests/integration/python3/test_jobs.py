"""examples/job*.py: a job goes on without its page, and each page has its newest state at once."""

import functools
import json
import urllib.parse

import pytest
import requests
import tqdm

from loopback import Client, EXAMPLES, python, running, wait_for


@pytest.fixture
def job(start, tmpdir):
    """`job(name, rows)`: the process of an example whose jobs have so many rows, and its URL."""
    def job(name, rows):
        process, url = start(name, "job.py", "job.html", "style.css")
        for name, usual, short in (("job.py", "ROWS = 400", "ROWS = %d" % rows),
                                   ("job.py", "SILENT = 60", "SILENT = 2"),
                                   ("job.html", "65000", "3000")):
            text = tmpdir.join(name).read_text("utf-8")
            assert usual in text
            tmpdir.join(name).write_text(text.replace(usual, short), "utf-8")
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
def test_a_job(job, name, head):
    process, url = job(name, 60)
    with process:
        watched = url + "jobs/" + begin(url)
        with Client(watched) as client:
            wait_for(lambda: state(client)["n"] >= 5)
        # It goes on without a page. One that comes, or comes back, has the newest state at once.
        with Client(watched) as one, Client(watched) as two:
            first = state(one)
            assert 5 <= first["n"] < 60 and first["total"] == 60 and "end" not in first
            wait_for(lambda: state(two)["watching"] == 2)
            for client in one, two:
                last = last_state(client)
                assert (last["n"], last["end"]) == (60, "done")
        with Client(watched) as late:
            assert state(late)["end"] == "done"
        assert requests.head(watched, timeout=10).status_code == head
        assert requests.get(url + "jobs/unknown", timeout=10).status_code == 404


@SERVED
def test_a_job_that_fails(job, name, head):
    process, url = job(name, 10)
    with process, Client(url + "jobs/" + begin(url, "?fails=1")) as client:
        last = last_state(client)
        assert (last["end"], last["n"], last["error"]) == ("failed", 5, "row 5 has no price")


def test_the_page(job, browser, tmpdir):
    def said(part, seconds=20):
        wait_for(lambda: part in browser.text("#said"), seconds)

    def percent():
        return int(browser.text("#percent").rstrip("%"))

    process, url = job("job_flask.py", 200)
    with process:
        browser.open(url)
        browser.click("#start")
        wait_for(lambda: percent() > 0)
        assert browser.text("#state") == "Running"
        before, address = percent(), browser.run("return location.href")
        browser.open("about:blank")
        browser.open(address)
        wait_for(lambda: percent() > before)
        with Client(url + "jobs/" + address.partition("#")[2]) as other:
            wait_for(lambda: browser.text("#watching") == "2")
            last_state(other)
        said("Done in")
        assert percent() == 100 and browser.text("#done") == "200 of 200"
        assert browser.run("return document.title") == "Done"
        browser.click("#fail")
        said("It failed: row 100 has no price")
        assert percent() == 50
        browser.click("#start")
        wait_for(lambda: browser.text("#state") == "Running")
    wait_for(lambda: browser.text("#state") == "Reconnecting")
    # The job ended with its server.
    port = urllib.parse.urlsplit(url).port
    with running(python(str(tmpdir.join("job_flask.py"))), port, cwd=str(tmpdir)):
        said("It failed: its server was stopped")
        browser.open("about:blank")
        browser.open(url + "#unknown")
        wait_for(lambda: browser.text("#state") == "No such job")


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
