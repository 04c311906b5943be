"""What the readers out there make of the streams: the vectors, reconnects, faults and sizes.

A reader must do exactly what the standard says. Where one does not, readers/departures.json says
what it does instead, so that the test fails on the day that the reader is mended. Why:

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
- size: no longer line, no bigger event is taken
"""

import collections
import io
import json
import os

import pytest

from browsers import ENGINES
from readers import ALL, FETCHING, RECONNECTING, run
from streams import CASES, CUT, CUTS, RETRY, RETURNS, served, STOPS, Streams

HERE = os.path.dirname(os.path.abspath(__file__))
# No reader has to take more bytes than these in one line, or in the lines of one event.
MOST = 2 * 1024 * 1024

DEPARTURES = collections.defaultdict(dict)
WHY = collections.defaultdict(set)
with io.open(os.path.join(HERE, "readers", "departures.json"), encoding="utf-8") as file:
    for departure in json.load(file):
        for reader in departure["readers"]:
            DEPARTURES[reader][departure["case"]] = departure["gives"]
            WHY[reader].add(departure["why"])


def jobs_of(reader):
    """The kind and the number of each of its jobs, and the types of its events."""
    # The longest first.
    if reader in RECONNECTING:
        yield "retry", RETRY, ["e"]
    for kind in "line", "event":
        for size in sizes(reader, kind):
            yield kind, size, ["e"]
    if reader in RECONNECTING:
        for kind, table in [("return", RETURNS), ("stop", STOPS), ("cut", CUTS)]:
            for number in range(len(table)):
                yield kind, number, ["e"]
    for number, row in enumerate(CASES):
        for kind in "whole", "pieces":
            yield kind, number, sorted({event[0] for event in row["events"]})


def sizes(reader, kind):
    limit = DEPARTURES[reader].get(kind)
    return [limit, limit + 1] if limit else [MOST]


def seconds(reader, kind, number):
    """Who never gets to the end is not waited for."""
    table = {"return": RETURNS, "cut": CUTS}.get(kind)
    given = table and DEPARTURES[reader].get("%s: %s" % (kind, table[number][0]))
    return 2 if given in ([], CUT[:1] + [["no end"]]) else 30


def outcomes(reader, answers, visits):
    """Of all that is asked of a reader: the case, what is right, and what it does."""
    for number, row in enumerate(CASES):
        given, pieces = answers["whole", number], answers["pieces", number]
        yield (row["name"], row["events"] + [["end", ".", row.get("last_event_id", "")]],
               given if given == pieces else {"whole": given, "pieces": pieces})
    for kind in "line", "event":
        taken = [size for size in sizes(reader, kind) if len(answers[kind, size]) == 2]
        yield kind, MOST, max(taken or [0])
    if reader not in RECONNECTING:
        return
    for number, (name, _, header) in enumerate(RETURNS):
        first, *headers = [header for header, _ in visits("return", number)]
        assert first is None
        yield "return: " + name, [header, header], headers
    (_, first), (_, second) = visits("retry", RETRY)
    # No upper bound: clients may wait longer.
    yield "retry", True, second - first >= RETRY / 1000
    again = [name for number, (name, steps) in enumerate(STOPS)
             if answers["stop", number][-1][0] == "end" or len(visits("stop", number)) > len(steps)]
    yield "stop", [], "all" if len(again) == len(STOPS) else again
    for number, (name, _) in enumerate(CUTS):
        case, given = "cut: " + name, answers["cut", number]
        # What fetch() has, and its reader has not read, may be lost with the connection.
        if reader in FETCHING and given == [["end", ".", ""]]:
            given = DEPARTURES[reader].get(case, CUT)
        yield case, CUT, given


@pytest.mark.parametrize("reader", ALL)
def test_reader(reader, engines, record_property):
    streams = Streams()
    with served(streams) as url:
        jobs = {(kind, number): {
            "url": "%s/%s/%d" % (url, kind, number), "types": types,
            "seconds": seconds(reader, kind, number),
            "returns": kind in ("retry", "return", "stop", "cut"),
        } for kind, number, types in jobs_of(reader)}
        answers = dict(zip(jobs, run(reader, list(jobs.values()), engines, url)))
    done = outcomes(reader, answers, lambda kind, number: streams.visits["/%s/%d" % (kind, number)])
    departures = {case: given for case, right, given in done if given != right}
    assert departures == DEPARTURES[reader]
    record_property("reader", "%s: %d vectors, whole and in pieces; departs in %s" % (
        reader + " " + engines(reader).version if reader in ENGINES else reader,
        len(CASES), ", ".join(sorted(WHY[reader])) or "nothing"))


def test_restart(browser):
    """A browser asks on while nobody listens."""
    streams = Streams()
    with served(streams) as url:
        browser.open(url)
        browser.run("""
            window.events = [];
            window.errors = 0;
            const source = new EventSource("/return/1");
            source.onerror = () => { window.errors++; };
            for (const type of ["e", "end"]) {
                source.addEventListener(type, ({ lastEventId }) => {
                    window.events.push(lastEventId);
                });
            }
        """)
        browser.wait_for("window.events.length")
    asked = browser.run("return window.errors")
    browser.wait_for("window.errors >= %d" % (asked + 3), 30)
    with served(streams, int(url.rpartition(":")[2])):
        browser.wait_for("window.events.length >= 2", 30)
    assert browser.run("return window.events") == ["7", "7"]
    assert {header for header, _ in streams.visits["/return/1"][1:]} == {"7"}
