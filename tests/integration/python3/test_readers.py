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
"""

import base64
import io
import json
import os

import pytest

from readers import ALL, RECONNECTING, run
from streams import CASES, END, FAULTS, RETURNS, Server, chunks, pieces

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = ["whole", "pieces"]
MEBIBYTE = 1024 * 1024

with io.open(os.path.join(HERE, "readers", "departures.json"), encoding="utf-8") as file:
    DEPARTURES = {(departure["reader"], departure["case"]): departure["gives"]
                  for departure in json.load(file)}
# The most bytes that a reader takes in a line and in an event; the others take 4 MiB of each.
SIZES = {}


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="module", params=ALL)
def reader(request):
    return request.param


@pytest.fixture(scope="module")
def read(reader, engines, server):
    """`read(jobs)` gives the events of each."""
    return lambda jobs: run(reader, jobs, engines, server.url)


def seen(row):
    return row["events"] + [["end", ".", row.get("last_event_id", "")]]


@pytest.fixture(scope="module")
def answers(reader, read, server):
    """What the reader gives for each case."""
    cases = [(number, kind) for number in range(len(CASES)) for kind in KINDS]
    jobs = []
    for number, kind in cases:
        row = CASES[number]
        if reader == "eventsource-parser":
            wire = list(chunks(row)) + list(chunks(END))
            jobs.append({"pieces": [base64.b64encode(piece).decode() for piece in
                                    (pieces(wire) if kind == "pieces" else wire)]})
        else:
            jobs.append({"url": "%s/%s/%d/%s" % (server.url, kind, number, reader), "seconds": 30,
                         "types": sorted({event[0] for event in row["events"]})})
    return dict(zip(cases, read(jobs)))


@pytest.mark.parametrize("number", range(len(CASES)), ids=[row["name"] for row in CASES])
def test_case(reader, answers, number):
    row = CASES[number]
    expected = DEPARTURES.get((reader, row["name"]), seen(row))
    for kind in KINDS:
        assert (kind, answers[number, kind]) == (kind, expected)


@pytest.fixture(scope="module")
def returns(reader, read, server):
    """Of each stream that drops: the last event ID and the time of each of its requests."""
    jobs, paths = [], []
    for number, (name, _, _) in enumerate(RETURNS):
        never = DEPARTURES.get((reader, "return: " + name)) == []
        paths.append("/return/%d/%s" % (number, reader))
        jobs.append({"url": server.url + paths[-1], "types": ["e"], "returns": True,
                     "seconds": 2 if never else 30})
    read(jobs)
    return {name: server.visits[path] for (name, _, _), path in zip(RETURNS, paths)}


reconnecting = pytest.mark.parametrize("reader", RECONNECTING, indirect=True, scope="module")


@reconnecting
@pytest.mark.parametrize("name, header", [(name, header) for name, _, header in RETURNS],
                         ids=[name for name, _, _ in RETURNS])
def test_return(reader, returns, name, header):
    headers = [header for header, _ in returns[name]]
    assert headers[0] is None
    assert headers[1:] == DEPARTURES.get((reader, "return: " + name), [header, header])


@reconnecting
def test_retry(reader, returns):
    # Longer than anyone waits by default. No upper bound: clients may wait longer.
    first, second = [when for _, when in returns["retry"]][:2]
    in_time = second - first >= 3.5
    assert in_time == DEPARTURES.get((reader, "retry"), True)


@pytest.fixture(scope="module")
def faults(reader, read, server):
    """Of each fault: the events of who came again after it, and how often the others asked."""
    paths = ["/fault/%d/%s" % (number, reader) for number in range(len(FAULTS))]
    answers = read([{"url": server.url + path, "types": ["e"], "returns": True, "seconds": 30}
                    for path in paths])
    return {name: events if events[-1][0] == "end" else len(server.visits[path])
            for (name, _, _), path, events in zip(FAULTS, paths, answers)}


@reconnecting
@pytest.mark.parametrize("name, answers, events", FAULTS, ids=[name for name, _, _ in FAULTS])
def test_fault(reader, faults, name, answers, events):
    expected = len(answers) if events is None else events
    assert faults[name] == DEPARTURES.get((reader, "fault: " + name), expected)


@pytest.mark.parametrize("kind", ["line", "event"])
def test_size(reader, read, server, kind):
    limit = SIZES.get((reader, kind), 4 * MEBIBYTE)
    sizes = [limit, limit + 1] if (reader, kind) in SIZES else [limit]
    jobs = []
    for size in sizes:
        pass


def test_departures():
    """There is nothing in the table that is not tested, and nothing that is right."""
    tested = {row["name"]: seen(row) for row in CASES}
    tested.update(("return: " + name, [header, header]) for name, _, header in RETURNS)
    tested.update(("fault: " + name, events or len(answers)) for name, answers, events in FAULTS)
    tested["retry"] = True
    for (_, case), gives in DEPARTURES.items():
        assert gives != tested[case]
