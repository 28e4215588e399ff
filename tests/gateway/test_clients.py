"""What browser and mobile clients need besides the paths that take events."""

import base64
import gzip
import json
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from gateway.clients import pixel
from gateway.main import create_app
from services.kit.auth import TokenVerifier
from tests.gateway.support import Platform, serving, settings, unused_url
from tests.support.app import trusted_keys

pytestmark = pytest.mark.anyio

ORIGIN = "https://shop.example"
EVENT = {"event": "Seen", "userId": "u1", "messageId": "m1"}


@pytest.mark.parametrize("prefix", ["/v1", ""])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_segment_settings_switch_batching_on_and_measurements_off(
    platform: Platform, prefix: str, slash: str
) -> None:
    path = f"{prefix}/projects/{platform.write_key}/settings{slash}"
    response = await platform.client.get(path, headers={"Origin": ORIGIN})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["cache-control"] == "private, max-age=300"
    document = response.json()
    assert document["integrations"]["Segment.io"] == {
        "apiKey": platform.write_key,
        "apiHost": f"{urlsplit(platform.url).netloc}/v1",
        "protocol": "http",
        "deliveryStrategy": {"strategy": "batching", "config": {"size": 10, "timeout": 1000}},
    }
    assert document["metrics"] == {"sampleRate": 0}


@pytest.mark.parametrize(
    ("headers", "protocol", "host"),
    [
        ({"X-Forwarded-Proto": "https", "Host": "cdp.example"}, "https", "cdp.example"),
        ({"X-Forwarded-Proto": "gopher", "Host": "cdp.example:81"}, "http", "cdp.example:81"),
        ({"Host": "a'b/c"}, "http", "localhost"),
    ],
)
async def test_settings_name_the_host_that_was_asked(
    platform: Platform, headers: dict[str, str], protocol: str, host: str
) -> None:
    path = f"/v1/projects/{platform.write_key}/settings"
    found = (await platform.client.get(path, headers=headers)).json()["integrations"]["Segment.io"]
    assert (found["protocol"], found["apiHost"]) == (protocol, f"{host}/v1")


async def test_settings_of_a_wrong_key_are_refused(platform: Platform) -> None:
    for key in ("wrong", platform.secret_key, platform.write_key[:-1] + "~"):
        response = await platform.client.get(f"/v1/projects/{key}/settings")
        assert response.status_code in {401, 403}
        assert set(response.json()) >= {"code", "message", "type"}


async def test_settings_are_given_while_keys_cannot_be_checked(platform: Platform) -> None:
    nobody = "postgresql+asyncpg://nobody@/nothing?host=/nonexistent"
    names = ("tracking-ingest", "tracking", "profile", "orchestrator", "assessment")
    app = create_app(settings(nobody, dict.fromkeys(names, unused_url())))
    async with serving(app) as url:
        good = await platform.client.get(f"{url}/v1/projects/{platform.write_key}/settings")
        bad = await platform.client.get(f"{url}/v1/projects/nokey/settings")
        config = await platform.client.get(f"{url}/sourceConfig?writeKey={platform.write_key}")
    assert (good.status_code, bad.status_code, config.status_code) == (200, 401, 503)


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("place", ["query", "basic"])
async def test_rudderstacks_source_config(platform: Platform, slash: str, place: str) -> None:
    given: dict[str, Any] = (
        {"params": {"p": "npm", "v": "3.34.1", "writeKey": platform.write_key}}
        if place == "query"
        else {"auth": (platform.write_key, "")}
    )
    response = await platform.client.get(f"/sourceConfig{slash}", **given)
    assert response.status_code == 200
    source = response.json()["source"]
    assert (source["id"], source["enabled"]) == (platform.source_id, True)
    assert (source["config"]["statsCollection"]["metrics"], source["destinations"]) == (
        {"enabled": False}, []
    )  # fmt: skip
    assert platform.secret_key not in response.text


async def test_source_config_needs_a_right_key(platform: Platform) -> None:
    for query in ("", "?writeKey=wrong", f"?writeKey={platform.secret_key}"):
        response = await platform.client.get(f"/sourceConfig/{query}")
        assert response.status_code in {401, 403}
        assert set(response.json()) >= {"code", "message"}


async def test_posthogs_configuration_is_also_a_script_that_any_page_may_load(
    platform: Platform,
) -> None:
    path = f"/array/{platform.write_key}/config.js"
    response = await platform.client.get(path, headers={"Origin": ORIGIN})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/javascript")
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert f'["{platform.write_key}"] = {{ config: {{}}' in response.text
    odd = '"];alert(1);["'
    answer = await platform.client.get(f"/array/{quote(odd)}/config.js")
    assert f"[{json.dumps(odd)}] = " in answer.text


async def test_what_posthogs_browser_client_asks_before_it_sends(platform: Platform) -> None:
    for slash in ("", "/"):
        config = await platform.client.get(f"/array/{platform.write_key}/config{slash}")
        assert (config.status_code, config.json()) == (200, {})
        flags = await platform.client.post(f"/flags{slash}?v=2", json={"token": "x"})
        assert flags.status_code == 200
        assert (flags.json()["featureFlags"], flags.json()["sessionRecording"]) == ({}, False)


async def test_a_clients_own_measurements_are_dropped(platform: Platform) -> None:
    for path in ("/v1/m", "/v1/m/", "/m"):
        response = await platform.client.post(path, content=b"no json")
        assert (response.status_code, response.json()) == (200, {"success": True})
    assert platform.ingest.seen == []


@pytest.mark.parametrize(
    "path", ["/sourceConfig/", "/v1/projects/k/settings", "/flags/", "/batch/", "/api/s/track"]
)
async def test_every_path_of_a_browser_is_preflighted(platform: Platform, path: str) -> None:
    wanted = "anonymousid,authorization,content-type,sentat"
    headers = {"Origin": ORIGIN, "Access-Control-Request-Headers": wanted}
    response = await platform.client.options(path, headers=headers)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["access-control-allow-credentials"] == "true"
    assert response.headers["access-control-allow-headers"] == wanted
    assert response.headers["access-control-max-age"] == "900"


def _encodings(call: dict[str, Any]) -> list[str]:
    text = json.dumps(call)
    plain = base64.b64encode(text.encode()).decode()
    url_safe = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    return [quote(text), quote(plain), plain, url_safe]


async def test_segments_pixel_takes_json_and_base64(platform: Platform) -> None:
    call = {**EVENT, "writeKey": platform.write_key, "properties": {"ø": "???>>>"}}
    for slash in ("", "/"):
        for data in _encodings(call):
            response = await platform.client.get(
                f"/v1/pixel/track{slash}?data={data}", headers={"User-Agent": "Mail"}
            )
            assert (response.status_code, response.content) == (200, pixel.GIF)
            assert response.headers["content-type"] == "image/gif"
    expected = {**call, "context": {"userAgent": "Mail"}}
    del expected["writeKey"]
    assert [json.loads(seen.body) for seen in platform.ingest.seen] == [expected] * 8
    for seen in platform.ingest.seen:
        assert (seen.method, seen.target) == ("POST", "/v1/track")
        token = (seen.header("authorization") or "").removeprefix("Bearer ")
        caller = TokenVerifier("tracking", trusted_keys()).verify(token)
        assert (caller.workspace_id, caller.source_id) == (
            platform.workspace_id, platform.source_id
        )  # fmt: skip


async def test_rudderstacks_pixel_has_a_parameter_per_field(platform: Platform) -> None:
    params = {
        "writeKey": platform.write_key,
        "anonymousId": "an1",
        "event": "Opened",
        "properties": '{"mail": 7}',
        "context.page.url": "https://shop.example/",
    }
    response = await platform.client.get(
        "/pixel/v1/track", params=params, headers={"User-Agent": "Mail"}
    )
    assert (response.status_code, response.content) == (200, pixel.GIF)
    (seen,) = platform.ingest.seen
    assert json.loads(seen.body) == {
        "channel": "web",
        "anonymousId": "an1",
        "event": "Opened",
        "properties": {"mail": 7},
        "context": {"page": {"url": "https://shop.example/"}, "userAgent": "Mail"},
    }


@pytest.mark.parametrize(
    "query",
    [
        "",
        "data=",
        "data=%7B",
        "data=[]",
        "data=ey",
        "data=%00",
        "data=" + quote('{"writeKey": 7}'),
        "data=" + quote('{"writeKey": "wrong"}'),
        "data=" + quote('{"writeKey": "KEY", "context": 7}'),
        "data=" + "W" * 9_000,
        "writeKey=KEY&a=1&a.b=2",
        "writeKey=KEY&properties=7",
        "&".join(f"a{n}=1" for n in range(500)),
    ],
)
async def test_a_pixel_is_always_an_image(platform: Platform, query: str) -> None:
    query = query.replace("KEY", platform.write_key)
    for path in ("/v1/pixel/track", "/pixel/v1/track", "/v1/pixel/purchase"):
        response = await platform.client.get(f"{path}?{query}")
        assert (response.status_code, response.content) == (200, pixel.GIF), path


POSTHOG = {"event": "Seen", "distinct_id": "u1"}


def _posthog_bodies(key: str) -> list[bytes]:
    one = json.dumps({**POSTHOG, "api_key": key}).encode()
    inside = json.dumps({**POSTHOG, "properties": {"token": key}}).encode()
    batch = json.dumps({"api_key": key, "batch": [POSTHOG]}).encode()
    coded = quote(base64.b64encode(inside).decode()).encode()
    return [
        one,
        inside,
        b"[%b]" % inside,
        batch,
        json.dumps({"batch": [{**POSTHOG, "api_key": key}]}).encode(),
        gzip.compress(batch),
        b"data=" + coded,
        b"compression=base64&data=" + coded,
        b"data=" + quote(inside).encode(),
    ]


@pytest.mark.parametrize("path", ["/batch/", "/e/", "/capture", "/i/v0/e/?ip=1"])
async def test_posthogs_key_is_found_in_every_kind_of_body(platform: Platform, path: str) -> None:
    bodies = _posthog_bodies(platform.write_key)
    for content in bodies:
        response = await platform.client.post(
            path, content=content, headers={"Content-Type": "text/plain", "Origin": ORIGIN}
        )
        assert response.status_code == 200, response.text
        assert response.headers["access-control-allow-origin"] == ORIGIN
    assert [seen.body for seen in platform.ingest.seen] == bodies
    assert {seen.target.partition("?")[0] for seen in platform.ingest.seen} == {"/v1/posthog"}


async def test_legacy_jitsus_key_is_in_the_query_or_in_the_event(platform: Platform) -> None:
    path = "/api/v1/s2s/event"
    in_query = await platform.client.post(f"{path}?token={platform.write_key}&a=1", content=b"[]")
    in_event = await platform.client.post(path, json=[{"api_key": platform.write_key}])
    assert (in_query.status_code, in_event.status_code) == (200, 200)
    assert [seen.target for seen in platform.ingest.seen] == ["/v1/jitsu?a=1", "/v1/jitsu"]
    # Servers keep time, wherever they put the key.
    assert {seen.header("x-key-place") for seen in platform.ingest.seen} == {"basic"}


async def test_jitsus_masked_key_in_the_body_does_not_count(platform: Platform) -> None:
    head, _, secret = platform.write_key.rpartition("_")
    for kind, place in (("", "header"), ("s2s/", "basic")):
        platform.ingest.seen.clear()
        response = await platform.client.post(
            f"/api/s/{kind}track",
            json={**EVENT, "writeKey": f"{head}:***"},
            headers={"X-Write-Key": f"{head}:{secret}"},
        )
        assert response.status_code == 200
        (seen,) = platform.ingest.seen
        assert (seen.target, seen.header("x-key-place")) == ("/v1/track", place)


async def test_a_cloudevents_key_is_never_read_from_its_data(platform: Platform) -> None:
    data = {"writeKey": platform.write_key}
    refused = await platform.client.post("/v1/cloudevents", json=data)
    assert refused.status_code == 401
    bearer = {"Authorization": f"Bearer {platform.write_key}", "ce-id": "1"}
    taken = await platform.client.post("/v1/cloudevents", content=b"\xff\xfe", headers=bearer)
    assert taken.status_code == 200
    (seen,) = platform.ingest.seen
    assert (seen.header("ce-id"), seen.body) == ("1", b"\xff\xfe")


async def test_a_mobile_clients_chunked_gzip_has_its_key_in_the_body_only(
    platform: Platform,
) -> None:
    packed = gzip.compress(json.dumps({"batch": [EVENT], "writeKey": platform.write_key}).encode())

    async def pieces() -> Any:
        for start in range(0, len(packed), 16):
            yield packed[start : start + 16]

    headers = {"Content-Type": "text/plain", "Content-Encoding": "gzip"}
    for path in ("/b", "/v1/b", "/v1/import/", "/import"):
        response = await platform.client.post(path, content=pieces(), headers=headers)
        assert response.status_code == 200, response.text
    assert [(seen.target, seen.body) for seen in platform.ingest.seen] == [
        ("/v1/batch", packed)
    ] * 4


MALFORMED = [
    b"",
    b"null",
    b"{",
    b"[",
    b"[]",
    b"[[]]",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"\xff\xfe",
    b"data=",
    b"data=%ff",
    b"data=e30",
    b"&".join([b"data=1"] * 1_000),
    b'{"api_key":7,"batch":7}',
    b'{"batch":[7]}',
    b'{"properties":7}',
    b'{"api_key":"\\ud800"}',
    b"\x1f\x8b",
    gzip.compress(b" " * 10_000_000),
]


@pytest.mark.parametrize(
    "path", ["/batch", "/e/", "/api/v1/s2s/event", "/v1/cloudevents", "/v1/merge", "/api/s/track"]
)
async def test_bodies_without_a_key_are_the_clients_fault(platform: Platform, path: str) -> None:
    for content in MALFORMED:
        response = await platform.client.post(path, content=content)
        assert response.status_code in {400, 401, 413}, content[:40]
        assert set(response.json()) >= {"code", "message"}
    assert platform.ingest.seen == []
