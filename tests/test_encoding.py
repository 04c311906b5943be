"""The encoding of data that is bytes: only codecs that give text, and what they give is checked."""

from __future__ import unicode_literals

import codecs
import zlib

import pytest
import six

from spec_decoder import decode
from sse import Sse
from support import evil, lying, refused, rows


def liars(name):
    """Codecs that say they give text: one gives bytes, one what lies about its characters."""
    if name == "sse_test_bytes":
        return codecs.CodecInfo(None, lambda value: (value, len(value)), name=str(name))
    if name == "sse_test_lies":
        lie = lying(six.text_type, evil)("x\n\nevent: evil\ndata: evil")
        return codecs.CodecInfo(None, lambda value: (lie, len(value)), name=str(name))


codecs.register(liars)
BOMB = zlib.compress(b"\0" * 10 ** 6)
NO_TEXT_ENCODING = ["zlib", "sse_test_bytes", "hex", "bz2", "base64", "uu", "quopri", "rot13"]
if six.PY2:
    NO_TEXT_ENCODING.append("string_escape")


@pytest.mark.parametrize("encoding", NO_TEXT_ENCODING)
def test_no_text_encoding(encoding):
    for value in [BOMB, b"", [b"6161"], lying(bytes, evil)(b"6161")]:
        with refused(LookupError, ["not a text encoding"]) as sse:
            sse.add_message("e", value, encoding)


def test_text_of_a_codec_is_checked():
    sse = Sse(None)
    sse.add_message("e", b"", "sse_test_lies")
    assert decode(sse.data_to_send()).events == [("e", "x\n\nevent: evil\ndata: evil", "")]
    with refused(ValueError, ["event"]) as sse:
        sse.add_message(lying(six.text_type, evil)("x\n"), "x")


@pytest.mark.parametrize("encoding", rows(
    # Besides those of vectors/encoding.json.
    ("list", []), ("object", object())))
def test_encoding_is_no_name(encoding):
    with refused(TypeError) as sse:
        sse.add_message("e", b"x", encoding=encoding)
