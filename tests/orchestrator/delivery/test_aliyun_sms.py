"""Aliyun SMS against a server that behaves as its documentation says and checks signatures."""

import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from services.orchestrator.delivery.kinds.aliyun_sms import authorization, number
from services.orchestrator.delivery.port import Way
from services.orchestrator.delivery.result import Result
from tests.orchestrator.delivery.conftest import NOW, Bench
from tests.orchestrator.providers import Asked, Provider, Reply

pytestmark = pytest.mark.anyio

SECRET = "the-access-key-secret"
CONTENT = {"provider_template": "SMS_1", "data": {"code": "a+b&你 好~*/"}, "url": None}


def says(code: str, message: str = "why", status: int = 200, **more: Any) -> Reply:
    return Reply(status, {"Code": code, "Message": message, "RequestId": "r", **more})


def signed(secret: str, asked: Asked) -> bool:
    """The V3 signature recomputed from what came over the wire, headers as they are listed."""
    found = sorted(asked.query.items())
    query = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in found)
    scheme, _, rest = asked.headers["authorization"].partition(" ")
    parts = dict(each.split("=", 1) for each in rest.split(","))
    lines = ["POST", "/", query]
    lines += [f"{name}:{asked.headers[name]}" for name in parts["SignedHeaders"].split(";")]
    lines += ["", parts["SignedHeaders"], hashlib.sha256(asked.body).hexdigest()]
    hashed = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    expected = hmac.new(secret.encode(), f"{scheme}\n{hashed}".encode(), "sha256").hexdigest()
    return scheme == "ACS3-HMAC-SHA256" and parts["Signature"] == expected


def guard(asked: Asked) -> Reply | None:
    given = sorted(
        asked.headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    )
    wanted = sorted(["host", *(name for name in asked.headers if name.startswith("x-acs-"))])
    if given != wanted or not signed(SECRET, asked):
        return says("SignatureDoesNotMatch", status=400)
    return None


def opened(bench: Bench, provider: Provider, **more: Any) -> Way:
    provider.refuses = guard
    return bench.way(
        type="aliyun_sms",
        base_url=provider.url,
        **{
            "access_key_id": "LTAI",
            "access_key_secret": SECRET,
            "sign_name": "阿里云",
            **more,
        },
    )


CASES = {
    "taken": (says("OK", BizId="biz1"), Result("accepted", provider_id="biz1")),
    "number full for a minute": (
        says("isv.BUSINESS_LIMIT_CONTROL", "触发分钟级流控Permits:1"),
        Result(
            "again",
            "http_200 isv.BUSINESS_LIMIT_CONTROL: 触发分钟级流控Permits:1",
            retry_at=NOW + 60_000,
        ),
    ),
    "number full for the day": (
        says("isv.BUSINESS_LIMIT_CONTROL", "触发天级流控Permits:10"),
        Result(
            "again",
            "http_200 isv.BUSINESS_LIMIT_CONTROL: 触发天级流控Permits:10",
            retry_at=NOW + 3_600_000,
        ),
    ),
    "rate limit": (
        says("Throttling.User", status=400),
        Result("again", "http_400 Throttling.User: why", retry_at=NOW + 60_000),
    ),
    "no number": (
        says("isv.MOBILE_NUMBER_ILLEGAL"),
        Result("failed", "dead_address: http_200 isv.MOBILE_NUMBER_ILLEGAL: why"),
    ),
    "bad template": (
        says("isv.SMS_TEMPLATE_ILLEGAL"),
        Result("failed", "http_200 isv.SMS_TEMPLATE_ILLEGAL: why"),
    ),
    "no money": (
        says("isv.AMOUNT_NOT_ENOUGH"),
        Result("again", "http_200 isv.AMOUNT_NOT_ENOUGH: why"),
    ),
    "away": (says("isp.SYSTEM_ERROR"), Result("again", "http_200 isp.SYSTEM_ERROR: why")),
    "busy": (
        says("ServiceUnavailable", status=503),
        Result("again", "http_503 ServiceUnavailable: why"),
    ),
    "broken": (
        says("InternalError", status=500),
        Result("unknown", "http_500 InternalError: why"),
    ),
    "answer lost": (Reply(lost=True), Result("unknown", "answer_lost: RemoteProtocolError")),
}


@pytest.mark.parametrize(("reply", "expected"), CASES.values(), ids=CASES)
async def test_what_aliyun_says(
    bench: Bench, provider: Provider, reply: Reply, expected: Result
) -> None:
    provider.says("/", reply)
    claim = bench.claim("+8613800001111", CONTENT)
    assert await bench.send(opened(bench, provider), claim) == expected
    [asked] = provider.requests
    assert asked.headers["x-acs-date"] == "2027-01-15T08:00:00Z"
    assert json.loads(asked.query.pop("TemplateParam")) == CONTENT["data"]
    assert asked.query == {
        "PhoneNumbers": "13800001111",
        "SignName": "阿里云",
        "TemplateCode": "SMS_1",
        "OutId": str(claim.id),
    }


async def test_another_secret_is_not_let_in(bench: Bench, provider: Provider) -> None:
    provider.says("/", says("OK", BizId="biz1"))
    way = opened(bench, provider, access_key_secret="other")
    result = await bench.send(way, bench.claim("+8613800001111", CONTENT))
    assert result == Result("again", "credentials_refused: http_400 SignatureDoesNotMatch: why")


async def test_two_requests_never_share_a_nonce(bench: Bench, provider: Provider) -> None:
    provider.says("/", says("OK", BizId="biz1"))
    way, claim = opened(bench, provider), bench.claim("+8613800001111", CONTENT)
    bench.held = False
    await bench.send(way, claim)
    bench.held = True
    for each in (claim, replace(claim, content={"provider_template": "SMS_2", "data": {}})):
        assert (await bench.send(way, each)).kind == "accepted"
    first, second = provider.requests
    assert first.headers["x-acs-signature-nonce"] != second.headers["x-acs-signature-nonce"]
    assert "TemplateParam" not in second.query


def test_the_signature_is_the_one_of_the_documentation() -> None:
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
    }
    query = "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai"
    assert authorization("YourAccessKeyId", "YourAccessKeySecret", query, headers).endswith(
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


@pytest.mark.parametrize(
    ("phone", "expected"),
    [
        ("+8613800001111", "13800001111"),
        ("+85291234567", "85291234567"),
        ("+15005550001", "15005550001"),
        ("13800001111", "13800001111"),
        ("+861087654321", "861087654321"),
    ],
)
def test_numbers_are_written_as_aliyun_takes_them(phone: str, expected: str) -> None:
    assert number(phone) == expected
