"""Requests no client of ours sends, byte by byte. Never a 5xx, never passed on."""

import asyncio
import re
from urllib.parse import urlsplit

import pytest

from tests.gateway.support import Platform

pytestmark = pytest.mark.anyio


async def _status(platform: Platform, request: bytes) -> int:
    """The status of the first answer to the bytes; 0 if the connection was closed without one."""
    where = urlsplit(platform.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        writer.write(request)
        line = await asyncio.wait_for(reader.readline(), 10)
    finally:
        writer.close()
    return int(line.split()[1]) if line else 0


def _request(target: bytes, *headers: bytes, method: bytes = b"GET", body: bytes = b"") -> bytes:
    given = (
        (b"Host: waymark", *headers)
        if not any(h.startswith(b"Host:") for h in headers)
        else headers
    )
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", *given, b"", body])


CHUNKED = b"Transfer-Encoding: chunked"
POST = {"method": b"POST"}
CORPUS: dict[str, bytes] = {
    "length and coding": _request(b"/v1/batch", b"Content-Length: 5", CHUNKED, b"", **POST),
    "strange coding": _request(b"/v1/batch", b"Transfer-Encoding: xchunked", **POST),
    "two codings": _request(b"/v1/batch", b"Transfer-Encoding: identity, chunked", **POST),
    "space before colon": _request(b"/v1/batch", b"Transfer-Encoding : chunked", **POST),
    "two lengths": _request(b"/v1/batch", b"Content-Length: 1", b"Content-Length: 2", **POST),
    "signed length": _request(b"/v1/batch", b"Content-Length: +5", **POST, body=b"12345"),
    "negative length": _request(b"/v1/batch", b"Content-Length: -1", **POST),
    "folded coding": _request(b"/v1/batch", b"X-A: b\r\n Transfer-Encoding: chunked", **POST),
    "bare line feeds": b"GET /livez HTTP/1.1\nHost: waymark\n\n",
    "bare return": _request(b"/livez", b"X-A: b\rX-B: c"),
    "NUL in a header": _request(b"/livez", b"X-A: a\x00b"),
    "chunk size in hex notation": _request(
        b"/v1/batch", CHUNKED, **POST, body=b"0x5\r\nhello\r\n0\r\n\r\n"
    ),
    "chunk without end": _request(b"/v1/batch", CHUNKED, **POST, body=b"5\r\nhelloXX0\r\n\r\n"),
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two hosts": _request(b"/livez", b"Host: a", b"Host: b"),
    "underscore": _request(b"/livez", b"X_Workspace_Id: 1"),
    "underscore beside the real one": _request(b"/livez", b"X_A: 1", b"X-A: 1"),
    "a megabyte of header": _request(b"/livez", b"X-A: " + b"a" * 1_000_000),
    "5,000 headers": _request(b"/livez", *(b"X-%d: 1" % n for n in range(5000))),
    "encoded slash": _request(b"/api/v1/profiles%2f..%2fkeys"),
    "encoded backslash": _request(b"/api/v1/profiles%5ckeys"),
    "encoded NUL": _request(b"/api/v1/profiles/a%00b"),
    "dot segments": _request(b"/api/v1/profiles/../keys"),
    "encoded dot segments": _request(b"/api/v1/profiles/%2e%2e/keys"),
    "dots and slashes": _request(b"/a/..%2f..%2fadmin/../x"),
    "raw bytes in the path": _request(b"/api/v1/profiles/\xff\xfe"),
    "raw bytes in the query": _request(b"/api/v1/profiles?a=\xff"),
    "a long address": _request(b"/api/v1/profiles?a=" + b"a" * 20_000),
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", CORPUS)
async def test_a_hostile_request_is_refused_and_never_passed_on(
    platform: Platform, name: str
) -> None:
    status = await _status(platform, CORPUS[name])
    assert status in {0, 400, 413, 414, 431}
    assert all(service.seen == [] for service in platform.services.values())


async def test_a_body_that_ends_too_early_is_never_passed_on(platform: Platform) -> None:
    where = urlsplit(platform.url)
    for framing, part in (
        ("Content-Length: 100", "{"),
        ("Transfer-Encoding: chunked", "1\r\n{\r\n"),
    ):
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        head = f"POST /v1/batch HTTP/1.1\r\nHost: w\r\nX-Write-Key: {platform.write_key}\r\n"
        writer.write(f"{head}{framing}\r\n\r\n{part}".encode())
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
    assert (await platform.post("/v1/batch", content=b"{}")).status_code == 200
    assert [seen.body for seen in platform.ingest.seen] == [b"{}"]


async def test_two_requests_in_one_packet_get_two_answers(platform: Platform) -> None:
    where = urlsplit(platform.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(_request(b"/livez") + _request(b"/nowhere", b"Connection: close"))
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200", b"404"]


@pytest.mark.parametrize("path", ["/nowhere", "/metrics", "/internal/v1/log", "/v1", "/v1/nope"])
async def test_unknown_paths_are_problems(platform: Platform, path: str) -> None:
    for method in ("GET", "POST"):
        response = await platform.client.request(method, path)
        assert (response.status_code, response.json()["status"]) == (404, 404)
        assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/v1/nope", "/v1/track/more", "/api/s/nope"])
async def test_calls_that_do_not_exist_are_refused_in_the_words_of_sdks(
    platform: Platform, path: str
) -> None:
    response = await platform.client.post(path, json={})
    assert (response.status_code, response.json()["code"]) == (404, "unknown_call")
    assert response.json()["message"]


async def test_a_wrong_method_is_a_problem(platform: Platform) -> None:
    response = await platform.client.put("/api/v1/keys", headers=platform.admin, json={})
    assert (response.status_code, response.json()["status"]) == (405, 405)
    assert response.json()["type"] == "/problems/method-not-allowed"
    assert response.json()["detail"] == "PUT is not accepted here."


async def test_keys_in_odd_places_never_break_the_door(platform: Platform) -> None:
    odd = [
        b"",
        b" ",
        b":",
        b"a" * 5000,
        b"\xff\xfe",
        b"%00",
        b"wk_",
        b"wk_\t_",
        b"\xf0\x9f\x94\x91",
    ]
    for value in odd:
        for header in (b"X-Write-Key: ", b"Authorization: Basic ", b"Authorization: Bearer "):
            for path in (b"/v1/batch", b"/api/v1/profiles", b"/api/v1/keys"):
                length = b"Content-Length: 2"
                request = _request(path, header + value, length, method=b"POST", body=b"{}")
                assert await _status(platform, request) in {400, 401}, (value, path)
        query = await platform.client.post("/v1/batch", params={"writeKey": value}, content=b"{}")
        assert query.status_code == 401


async def test_a_header_that_cannot_be_sent_on_is_the_clients_fault(platform: Platform) -> None:
    key = b"Authorization: Bearer " + platform.secret_key.encode()
    for value in (b"a\x01b", b"a\x7fb", b"\x0b"):
        request = _request(b"/api/v1/profiles", key, b"X-A: " + value)
        assert await _status(platform, request) in {200, 400}
