# -*- coding: utf-8 -*-
"""The inputs that hypothesis makes, and how many of them are tried.

The environment variable HYPOTHESIS_PROFILE says how many: "default", a few, the same ones each
time; "full", more of them, as tox does on the first and the last Python; "long", many more, and
other ones each time.
"""

from __future__ import unicode_literals

import datetime
import os
import re
import uuid

import six
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from model import NOT_OF_TEXT
from sse import Sse


# How long an example takes says more about the machine than about the code.
COMMON = dict(deadline=None, suppress_health_check=[
    HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much])
settings.register_profile("default", max_examples=15, stateful_step_count=30, derandomize=True,
                          database=None, **COMMON)
# The last hypothesis for Python 2.7 takes several times as long.
settings.register_profile("full", max_examples=30 if six.PY2 else 100,
                          stateful_step_count=50, derandomize=True, database=None, **COMMON)
settings.register_profile("long", max_examples=2000, stateful_step_count=60, **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

SPECIAL = st.sampled_from(
    "\r\n\r\n\r\n \t:\x00\ufeff\u2028\x85\x0b\x0c\x1c\x1f\x7f\xa0dataevntiry07\u20ac\U0001f600")
CHARACTERS = SPECIAL | st.characters(blacklist_categories=("Cs",))
TEXTS = st.text(CHARACTERS) | st.lists(st.sampled_from([
    "\r", "\n", "\r\n", "data", ":", " ", "id: 7", "event", "retry: 1", "x", "\u2028", "\ufeff",
])).map("".join)
EVENTS = TEXTS.map(lambda text: re.sub("[\r\n]", "", text))
IDS = st.text(CHARACTERS, max_size=20).map(
    lambda text: re.sub("[\x00-\x1f\x7f]", "", text).strip(" "))
RETRIES = st.integers(0, 2147483647)
BOUNDS = st.sampled_from([None, None, 60, 200, 10 ** 6])

SURROGATES = st.text(CHARACTERS | st.sampled_from("\ud800\udbff\udc00\udfff"))
BINARY = st.binary() | TEXTS.map(lambda text: text.encode("utf-8")) | st.sampled_from(
    [b"\xed\xa0\x80", b"\xc0\x8a", b"\xff", b"\xef\xbb\xbf", b"\xe2\x82", b"a\r", b"\nb"])
SCALARS = st.one_of(
    SURROGATES, BINARY, st.none(), st.booleans(), st.integers(), st.integers(-2, 2), st.floats(),
    st.complex_numbers(), st.decimals(), st.fractions(), st.builds(object), st.just(Sse),
    st.just(Ellipsis), st.builds(uuid.uuid4), st.just(datetime.date(2000, 1, 1)),
    st.binary().map(bytearray), st.binary().map(memoryview), st.text().map(iter), st.just(len))
HASHABLE = st.one_of(SURROGATES, BINARY, st.integers())
OBJECTS = st.one_of(
    SCALARS, st.lists(SCALARS), st.lists(SURROGATES | BINARY), st.lists(TEXTS).map(tuple),
    st.sets(HASHABLE), st.frozensets(TEXTS), st.dictionaries(HASHABLE, SCALARS),
    st.lists(st.lists(TEXTS)))
ENCODINGS = st.sampled_from(
    ["utf-8", "UTF8", "latin-1", "ascii", "utf-16", "utf-16-le", "utf-32", "utf-7", "cp1252",
     "utf-8-sig", "shift_jis", "iso2022_jp"] + NOT_OF_TEXT)

# Streams as no server of ours sends them.
STREAMS = st.one_of(st.binary(), st.lists(st.sampled_from([
    b"\r", b"\n", b"\r\n", b"data", b"event", b"id", b"retry", b":", b" ", b"7", b"\xef\xbb\xbf",
    b"\xe2\x82\xac", b"\xe2\x82", b"\xed\xa0\x80", b"\xff", b"\x00", b"x"])).map(b"".join))
