"""What is refused whichever HTTP server stands in front."""

from typing import Any

import pytest

from gateway.errors import AddressTooLong, BadRequest, HeadersTooLarge
from gateway.refusals import MAX_ADDRESS_BYTES, MAX_HEADERS, refuse_ambiguous
from services.kit.problems import Problem

HOST = (b"host", b"waymark")


def _scope(
    *headers: tuple[bytes, bytes], raw: bytes = b"/livez", path: str = "/livez", query: bytes = b""
) -> dict[str, Any]:
    return {"headers": list(headers), "raw_path": raw, "path": path, "query_string": query}


CASES: list[tuple[dict[str, Any], type[Problem]]] = [
    (_scope(), BadRequest),
    (_scope(HOST, HOST), BadRequest),
    (_scope(HOST, (b"x_workspace_id", b"1")), BadRequest),
    (_scope(HOST, (b"transfer-encoding", b"gzip")), BadRequest),
    (_scope(HOST, (b"transfer-encoding", b"identity, chunked")), BadRequest),
    (_scope(HOST, *[(b"transfer-encoding", b"chunked")] * 2), BadRequest),
    (_scope(HOST, (b"transfer-encoding", b"chunked"), (b"content-length", b"1")), BadRequest),
    (_scope(HOST, *[(b"content-length", b"1")] * 2), BadRequest),
    (_scope(HOST, (b"content-length", b"+5")), BadRequest),
    (_scope(HOST, (b"content-length", b"9" * 5000)), BadRequest),
    (_scope(HOST, *[(b"x-a", b"1")] * MAX_HEADERS), HeadersTooLarge),
    (_scope(HOST, (b"x-a", b"1" * 40_000)), HeadersTooLarge),
    (_scope(HOST, raw=b"/\xff", path="/\ufffd"), BadRequest),
    (_scope(HOST, query=b"a=\xff"), BadRequest),
    (_scope(HOST, raw=b"/a%2Fb", path="/a/b"), BadRequest),
    (_scope(HOST, raw=b"/a\\b", path="/a\\b"), BadRequest),
    (_scope(HOST, raw=b"/a%00", path="/a\x00"), BadRequest),
    (_scope(HOST, raw=b"/a/%2e%2e/b", path="/a/../b"), BadRequest),
    (_scope(HOST, raw=b"/a/./b", path="/a/./b"), BadRequest),
    (_scope(HOST, query=b"a" * MAX_ADDRESS_BYTES), AddressTooLong),
]


@pytest.mark.parametrize(("scope", "problem"), CASES)
def test_a_request_with_two_readings_is_refused(
    scope: dict[str, Any], problem: type[Problem]
) -> None:
    with pytest.raises(problem):
        refuse_ambiguous(scope)


def test_an_ordinary_request_passes() -> None:
    refuse_ambiguous(_scope(HOST, (b"transfer-encoding", b"Chunked")))
    refuse_ambiguous(
        _scope(HOST, (b"content-length", b"12"), raw=b"/a/b.c%20d", path="/a/b.c d", query=b"e=%2F")
    )
