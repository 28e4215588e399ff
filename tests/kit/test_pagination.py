"""Cursors: what comes back must be one of ours."""

import base64

import pytest

from services.kit.pagination import decode_cursor, encode_cursor
from services.kit.problems import InvalidRequest


def test_a_cursor_gives_its_key_back() -> None:
    assert decode_cursor(encode_cursor("a", 5), "#/c", str, int) == ("a", 5)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!!!",
        "ä",
        encode_cursor(1),
        encode_cursor("a", "b"),
        encode_cursor("a\x00", 1),
        encode_cursor("a", 2**63),
        encode_cursor("a", -1),
        base64.urlsafe_b64encode(b'["a",true]').decode(),
        base64.urlsafe_b64encode(b"[" * 5000).decode(),
    ],
)
def test_any_other_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        decode_cursor(cursor, "#/query/cursor", str, int)
    assert raised.value.members["errors"][0]["pointer"] == "#/query/cursor"
