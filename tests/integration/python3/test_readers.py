"""What the readers out there make of the streams: the vectors, reconnects, faults and sizes.

A reader must give exactly what the standard gives. Where one does not, readers/departures.json
says what it gives instead, so that the test fails on the day that the reader is mended. Why:

- id-block: an id in a block without data is lost
- phantom: a block without data is an event
- strip: leading spaces of each value are lost, and newlines at the end of the data
- default: an event field without a value is not "message"
- reset: an id field without a value changes nothing
- latin-1: the header is not UTF-8, or is not sent because it would not be Latin-1
- retry: the retry field is ignored
- nul: U+0000 is dropped
- bom: U+FEFF at the start of a value is dropped
- first-line: empty lines at the start of the data are dropped
- drop: a connection that is cut ends it, or leaves it waiting for ever
- insistent: asks again after a 204 and after an error
"""

import io
import json
import os

import pytest

from readers import ALL, FETCHING, RECONNECTING, run
from streams import CASES, CUT, CUTS, RETRY, RETURNS, served, STOPS, Streams

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = ["whole", "pieces"]

with io.open(os.path.join(HERE, "readers", "departures.json"), encoding="utf-8") as file:
    DEPARTURES = {(departure["reader"], departure["case"]): departure["gives"]
                  for departure in json.load(file)}
# The most bytes that a reader takes in one line and in the lines of one event, where that is less
# than MOST.
MOST = 2 * 1024 * 1024
SIZES = {
    ("httpx2", "line"): 1024 * 1024 - len("event: e"),
    ("httpx2", "event"): 1024 * 1024,
    ("aiohttp-sse-client2", "line"): 512 * 1024 - 1,
}


@pytest.fixture(scope="module")
def streams():
    return Streams()


@pytest.fixture(scope="module")
def url(streams):
    with served(streams) as url:
        yield url


@pytest.fixture(scope="module", params=ALL)
def reader(request):
    return request.param


def seen(row):
    return row["events"] + [["end", ".", row.get("last_event_id", "")]]


def jobs_of(reader):
    """The kind and the number of each of its jobs, and the types of its events."""
    # The longest first.
    if reader in RECONNECTING:
        yield "retry", RETRY, ["e"]
    for kind in "line", "event":
        limit = SIZES.get((reader, kind))
        for size in [limit, limit + 1] if limit else [MOST]:
            yield kind, size, ["e"]
    if reader in RECONNECTING:
        for kind, table in [("return", RETURNS), ("stop", STOPS), ("cut", CUTS)]:
            for number in range(len(table)):
                yield kind, number, ["e"]
    for number, row in enumerate(CASES):
        for kind in KINDS:
            yield kind, number, sorted({event[0] for event in row["events"]})


def seconds(reader, kind, number):
    """Who never gets to the end is not waited for."""
    table = {"return": RETURNS, "cut": CUTS}.get(kind)
    given = table and DEPARTURES.get((reader, "%s: %s" % (kind, table[number][0])))
    return 2 if given == [] or given == CUT[:1] + [["no end"]] else 30


@pytest.fixture(scope="module")
def answers(reader, engines, url):
    """What the reader gives for each of its jobs, by kind and number."""
    jobs = {}
    for kind, number, types in jobs_of(reader):
        jobs[kind, number] = {
            "url": "%s/%s/%d/%s" % (url, kind, number, reader), "types": types,
            "seconds": seconds(reader, kind, number),
            "returns": kind in ("retry", "return", "stop", "cut")}
    return dict(zip(jobs, run(reader, list(jobs.values()), engines, url)))


@pytest.fixture
def visits(reader, answers, streams):
    """`visits(kind, number)` is the last event ID and the time of each request of a job."""
    return lambda kind, number: streams.visits["/%s/%d/%s" % (kind, number, reader)]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[row["name"] for row in CASES])
def test_case(reader, answers, number):
    row = CASES[number]
    expected = DEPARTURES.get((reader, row["name"]), seen(row))
    for kind in KINDS:
        assert (kind, answers[kind, number]) == (kind, expected)


reconnecting = pytest.mark.parametrize("reader", RECONNECTING, indirect=True, scope="module")


@reconnecting
@pytest.mark.parametrize("number", range(len(RETURNS)), ids=[row[0] for row in RETURNS])
def test_return(reader, visits, number):
    name, _, header = RETURNS[number]
    headers = [header for header, _ in visits("return", number)]
    assert headers[0] is None
    assert headers[1:] == DEPARTURES.get((reader, "return: " + name), [header, header])


@reconnecting
def test_retry(reader, visits):
    (_, first), (_, second) = visits("retry", RETRY)
    # No upper bound: clients may wait longer.
    in_time = second - first >= RETRY / 1000
    assert in_time == DEPARTURES.get((reader, "retry"), True)


@reconnecting
@pytest.mark.parametrize("number", range(len(STOPS)), ids=[row[0] for row in STOPS])
def test_stop(reader, answers, visits, number):
    requests = len(visits("stop", number))
    stops = answers["stop", number][-1][0] != "end" and requests == len(STOPS[number][1])
    assert stops == DEPARTURES.get((reader, "stop"), True)


@reconnecting
@pytest.mark.parametrize("number", range(len(CUTS)), ids=[row[0] for row in CUTS])
def test_cut(reader, answers, number):
    expected = DEPARTURES.get((reader, "cut: " + CUTS[number][0]), CUT)
    # What fetch() has, and its reader has not read, may be lost with the connection.
    lost = [["end", ".", ""]] if reader in FETCHING else expected
    assert answers["cut", number] in [expected, lost]


@pytest.mark.parametrize("kind", ["line", "event"])
def test_size(reader, answers, kind):
    limit = SIZES.get((reader, kind))
    ends = [events[-1][:1] == ["end"] and len(events) == 2
            for (of, _), events in answers.items() if of == kind]
    assert ends == ([True, False] if limit else [True])


def test_restart(browser):
    """A browser asks on while nobody listens."""
    streams = Streams()
    path = "/return/1/" + browser.name
    with served(streams) as url:
        browser.open(url)
        browser.run("""
            window.events = [];
            window.errors = 0;
            const source = new EventSource(arguments[0]);
            source.onerror = () => { window.errors++; };
            for (const type of ["e", "end"]) {
                source.addEventListener(type, ({ lastEventId }) => {
                    window.events.push(lastEventId);
                });
            }
        """, path)
        browser.wait_for("window.events.length")
    asked = browser.run("return window.errors")
    browser.wait_for("window.errors >= %d" % (asked + 3), 30)
    with served(streams, int(url.rpartition(":")[2])):
        browser.wait_for("window.events.length >= 2", 30)
    assert browser.run("return window.events") == ["7", "7"]
    assert {header for header, _ in streams.visits[path][1:]} == {"7"}


def test_departures():
    """There is nothing in the table that is not tested, and nothing that is right."""
    tested = {row["name"]: seen(row) for row in CASES}
    tested.update(("return: " + name, [header, header]) for name, _, header in RETURNS)
    tested.update(("cut: " + name, CUT) for name, _ in CUTS)
    tested.update({"retry": True, "stop": True})
    for (_, case), gives in DEPARTURES.items():
        assert gives != tested[case]
