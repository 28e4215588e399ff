"""SMS by Twilio. It honours no key for messages.

Sources: Twilio docs "Messages resource", "Twilio's request to your application: Twilio API
responses", and the "Error and Warning Dictionary" for the codes below; of what it says afterwards
"Track outbound message status" and "Security: validating requests" (HMAC-SHA1 over the address and
the sorted fields; it signs no time, so a replay is known by what it says alone). The message is
named in the address Twilio is given, which it signs.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

from pydantic import AnyHttpUrl, Field, model_validator

from services.orchestrator.channels.store import Target
from services.orchestrator.delivery import provider
from services.orchestrator.delivery.callbacks import (
    Callback,
    Callbacks,
    Said,
    message_of,
    receipt,
    same,
)
from services.orchestrator.delivery.port import HandOver, Key, Kind, Strict, Tools, latest
from services.orchestrator.delivery.result import Result, dead
from services.orchestrator.messages.model import Claimed

_DEAD = {
    21211,  # Invalid 'To' phone number.
    21614,  # 'To' number is not a valid mobile number.
}
_QUEUE_FULL = 21611  # This 'From' number has exceeded the maximum number of queued messages.
_TOO_MANY = 20429
_NO_SUCH_PHONE = {
    "30005",  # Unknown destination handset.
    "30006",  # Landline or unreachable carrier.
}
_AWAY = "30003"  # Unreachable destination handset: switched off, out of reach.
_STOPPED = "21610"  # Attempt to send to unsubscribed recipient.
_TAKEN = {"accepted", "scheduled", "queued", "sending", "sent"}
_MAX_FIELDS = 200


class Config(Strict):
    account_sid: str = Field(pattern=r"^AC[0-9a-fA-F]{32}$", examples=["AC" + "0" * 32])
    from_number: str | None = Field(
        None, max_length=32, description="A number in E.164, a short code or a sender id."
    )
    messaging_service_sid: str | None = Field(
        None, pattern=r"^MG[0-9a-fA-F]{32}$", description="Instead of a number."
    )
    base_url: AnyHttpUrl = Field(AnyHttpUrl("https://api.twilio.com"), validate_default=True)

    @model_validator(mode="after")
    def _has_sender(self) -> "Config":
        if (self.from_number is None) == (self.messaging_service_sid is None):
            raise ValueError("give either from_number or messaging_service_sid")
        return self


class Secrets(Strict):
    auth_token: Key = Field(description="Never shown again.", examples=["the-auth-token"])


class Twilio:
    def __init__(self, target: Target, tools: Tools) -> None:
        self._target = target
        self._client = tools.client

    async def send(self, claim: Claimed, hand_over: HandOver, now: int) -> Result:
        answer = await provider.deliver(self._client, self._request(claim), claim, hand_over)
        if isinstance(answer, Result):
            return answer
        said = answer.json()
        if answer.ok:
            return Result("accepted", provider_id=said.get("sid"))
        code = said.get("code")
        reason = provider.reason_of(answer, code, said.get("message"))
        if code in _DEAD:
            return dead(reason)
        if code in (_QUEUE_FULL, _TOO_MANY):
            return provider.limited(answer, now, reason)
        if answer.status == 403 and code is not None and code != 20003:
            # Permissions of the account for this recipient, such as its country.
            return Result("failed", reason)
        return provider.refused(answer, now, reason)

    def _request(self, claim: Claimed) -> provider.Request:
        config, sid = self._target.config, self._target.config["account_sid"]
        form = {"To": claim.contact, "Body": claim.content["text"]}
        if config.get("messaging_service_sid"):
            form["MessagingServiceSid"] = config["messaging_service_sid"]
        else:
            form["From"] = config["from_number"]
        if self._target.callback_url is not None:
            form["StatusCallback"] = f"{self._target.callback_url}?message_id={claim.id}"
        login = b64encode(f"{sid}:{self._target.secrets['auth_token']}".encode()).decode()
        return provider.Request(
            "POST",
            f"{config['base_url'].rstrip('/')}/2010-04-01/Accounts/{quote(sid)}/Messages.json",
            urlencode(form).encode(),
            {
                "content-type": "application/x-www-form-urlencoded",
                "authorization": f"Basic {login}",
            },
        )

    def close(self) -> None:
        """Nothing of its own is open."""


def _verify(callback: Callback, secrets: Mapping[str, Any], now: int) -> bool:
    try:
        fields = parse_qsl(
            callback.body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS
        )
    except ValueError:
        return False
    signed = callback.url + "".join(name + value for name, value in sorted(set(fields)))
    key = secrets["auth_token"].encode()
    expected = b64encode(hmac.new(key, signed.encode(), hashlib.sha1).digest()).decode()
    return same(expected, callback.headers.get("x-twilio-signature", ""))


def _read(callback: Callback, now: int) -> Said:
    said = Said()
    query = parse_qs(urlsplit(callback.url).query)
    message_id = message_of(query.get("message_id", [None])[0])
    if message_id is None:
        return said
    fields = dict(parse_qsl(callback.body.decode(), max_num_fields=_MAX_FIELDS))
    status, code = fields.get("MessageStatus", ""), fields.get("ErrorCode", "")
    reason = f"{status} {code}".strip()
    match status:
        case "delivered":
            said.receipts.append(receipt("delivered", message_id, now))
        case "read":
            said.receipts.append(receipt("opened", message_id, now))
        case "undelivered" | "failed" if code in _NO_SUCH_PHONE:
            said.receipts.append(receipt("bounced", message_id, now, reason=reason, hard=True))
        case "undelivered" | "failed" if code == _AWAY:
            said.receipts.append(receipt("bounced", message_id, now, reason=reason, hard=False))
        case "undelivered" | "failed":
            said.receipts.append(receipt("failed", message_id, now, reason=reason))
            if code == _STOPPED:
                said.receipts.append(receipt("unsubscribed", message_id, now))
        case _ if status in _TAKEN:
            said.taken.add(message_id)
    return said


KIND = Kind(
    type="twilio",
    medium="sms",
    summary="SMS by Twilio.",
    config=Config,
    secrets=Secrets,
    content="text",
    address=latest("phone"),
    open=Twilio,
    callbacks=Callbacks(_verify, _read),
)
