"""SMS by Alibaba Cloud (Aliyun). It honours no key: `OutId` comes back in receipts, no more.

Sources: help.aliyun.com "SendSms" and "API 错误码" of Short Message Service (Dysmsapi 2017-05-25),
and "V3 request structure and signature" of the SDK documentation.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import msgspec
from pydantic import AnyHttpUrl, Field

from services.orchestrator.channels.store import Target
from services.orchestrator.delivery import provider
from services.orchestrator.delivery.port import HandOver, Key, Kind, Strict, Tools, latest
from services.orchestrator.delivery.result import Result, dead
from services.orchestrator.messages.model import Claimed
from services.orchestrator.times import from_ms

ALGORITHM = "ACS3-HMAC-SHA256"
_DEAD = {"isv.MOBILE_NUMBER_ILLEGAL", "isv.PHONE_NUMBER_ILLEGAL"}
_LIMITED = {"isv.BUSINESS_LIMIT_CONTROL", "isv.DAY_LIMIT_CONTROL", "isv.MONTH_LIMIT_CONTROL"}
# What the owner of the account sets right: a login, a permission, or the balance.
_LOGIN = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "IncompleteSignature", "Forbidden")
_ACCOUNT = {
    "isp.RAM_PERMISSION_DENY",
    "isv.OUT_OF_SERVICE",
    "isv.AMOUNT_NOT_ENOUGH",
    "isv.PRODUCT_UN_SUBSCRIPT",
    "isv.PRODUCT_UNSUBSCRIBE",
    "isv.ACCOUNT_ABNORMAL",
}
# "触发分钟级流控Permits:1": Aliyun says only in words which of its windows is full.
_WINDOWS_MS = {"分钟": 60_000, "minute": 60_000, "小时": 3_600_000, "hour": 3_600_000}


class Config(Strict):
    access_key_id: str = Field(
        min_length=1, max_length=128, pattern=r"^[!-~]+$", examples=["LTAI5tExample"]
    )
    sign_name: str = Field(
        min_length=1,
        max_length=100,
        description="The approved signature, as it stands in the console; the template is the "
        "`provider_template` of the message template.",
        examples=["阿里云"],
    )
    base_url: AnyHttpUrl = Field(
        AnyHttpUrl("https://dysmsapi.aliyuncs.com"),
        validate_default=True,
        description="`https://dysmsapi.ap-southeast-1.aliyuncs.com` outside mainland China.",
    )


class Secrets(Strict):
    access_key_secret: Key = Field(
        description="Never shown again.", examples=["the-access-key-secret"]
    )


class AliyunSms:
    def __init__(self, target: Target, tools: Tools) -> None:
        self._target = target
        self._client = tools.client

    async def send(self, claim: Claimed, hand_over: HandOver, now: int) -> Result:
        request = self._request(claim, now)
        answer = await provider.deliver(self._client, request, claim, hand_over)
        if isinstance(answer, Result):
            return answer
        said = answer.json()
        if answer.ok and said.get("Code") == "OK":
            return Result("accepted", provider_id=str(said.get("BizId", ""))[:200] or None)
        return _refusal(answer, said, now)

    def _request(self, claim: Claimed, now: int) -> provider.Request:
        config = self._target.config
        parameters = {
            "PhoneNumbers": number(claim.contact or ""),
            "SignName": config["sign_name"],
            "TemplateCode": claim.content["provider_template"],
            "OutId": str(claim.id),
        }
        if claim.content.get("data"):
            parameters["TemplateParam"] = msgspec.json.encode(claim.content["data"]).decode()
        query = canonical_query(parameters)
        headers = {
            "host": urlsplit(config["base_url"]).netloc,
            "x-acs-action": "SendSms",
            "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
            "x-acs-date": from_ms(now).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "x-acs-signature-nonce": uuid4().hex,
            "x-acs-version": "2017-05-25",
        }
        login = authorization(
            config["access_key_id"], self._target.secrets["access_key_secret"], query, headers
        )
        return provider.Request(
            "POST",
            f"{config['base_url'].rstrip('/')}/?{query}",
            headers={**headers, "authorization": login},
        )

    def close(self) -> None:
        """Nothing of its own is open."""


def number(phone: str) -> str:
    """E.164 as Aliyun takes it: mainland numbers bare, others as country code and number."""
    digits = phone.removeprefix("+")
    mainland = len(digits) == 13 and digits.startswith("861")
    return digits[2:] if mainland else digits


def canonical_query(parameters: Mapping[str, str]) -> str:
    """Sorted by name, everything encoded but the unreserved characters of RFC 3986."""
    return "&".join(
        f"{quote(name, safe='')}={quote(value, safe='')}"
        for name, value in sorted(parameters.items())
    )


def authorization(key_id: str, secret: str, query: str, headers: Mapping[str, str]) -> str:
    """The `Authorization` header of a POST without a body, whose signed headers are all given."""
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        [
            "POST",
            "/",
            query,
            *(f"{name}:{headers[name]}" for name in sorted(headers)),
            "",
            names,
            headers["x-acs-content-sha256"],
        ]
    )
    text = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return f"{ALGORITHM} Credential={key_id},SignedHeaders={names},Signature={signature}"


def _refusal(answer: provider.Answer, said: Mapping[str, Any], now: int) -> Result:
    code, words = str(said.get("Code", "")), str(said.get("Message", ""))
    reason = provider.reason_of(answer, code or None, words)
    if code in _DEAD:
        return dead(reason)
    if code in _LIMITED:
        lower = words.lower()
        wait = next((ms for name, ms in _WINDOWS_MS.items() if name in lower), None)
        return Result("again", reason, retry_at=now + (wait or provider.LONGEST_WAIT_MS))
    if code.startswith("Throttling"):
        return provider.limited(answer, now, reason)
    if code.startswith(_LOGIN):
        return Result("again", f"credentials_refused: {reason}"[:300])
    if code in _ACCOUNT or code.startswith("isp."):
        # Said of Aliyun's own errors: call again.
        return Result("again", reason)
    return provider.refused(answer, now, reason)


KIND = Kind(
    type="aliyun_sms",
    medium="sms",
    summary="SMS by Alibaba Cloud (Aliyun), from a template approved there.",
    config=Config,
    secrets=Secrets,
    content="provider_template",
    address=latest("phone"),
    open=AliyunSms,
)
