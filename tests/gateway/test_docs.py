"""The documentation pages, as a browser without the internet gets them."""

import re

import pytest

from tests.gateway.support import Platform

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/docs", "/reference"])
async def test_a_page_loads_nothing_but_our_own_files(platform: Platform, path: str) -> None:
    page = await platform.client.get(path)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    policy = dict(
        part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";")
    )
    assert (policy["default-src"], policy["script-src"]) == ("'none'", "'self'")
    assert policy["connect-src"] == "'self'"

    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) >= 3
    for asset in loaded:
        assert asset.startswith("/docs/assets/")
        answer = await platform.client.get(asset)
        assert answer.status_code == 200
        assert len(answer.content) > 100
    assert "<script>" not in page.text
    assert " style=" not in page.text


async def test_vendored_files_come_with_their_licences(platform: Platform) -> None:
    for package in ("swagger-ui", "scalar"):
        answer = await platform.client.get(f"/docs/assets/{package}/LICENSE")
        assert answer.status_code == 200


async def test_the_document_is_served_and_cached_by_tag(platform: Platform) -> None:
    first = await platform.client.get("/openapi.json")
    assert first.json()["openapi"].startswith("3.1")
    assert "/api/v1/keys" in first.json()["paths"]
    again = await platform.client.get(
        "/openapi.json", headers={"If-None-Match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


async def test_the_front_page_says_where_to_go(platform: Platform) -> None:
    front = (await platform.client.get("/")).json()
    for path in (front["docs"], front["reference"], front["openapi"]):
        assert (await platform.client.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/docs/assets/nothing.js", "/docs/assets/", "/docs/"])
async def test_what_is_not_there_is_a_problem(platform: Platform, path: str) -> None:
    answer = await platform.client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
