"""Signed requests as Standard Webhooks says; the message's id is the receiver's idempotency key.

Source: the Standard Webhooks specification 1.0.0, "Webhook headers" and "Idempotency". What
receivers say afterwards they sign in the same way with the same secret: an object, or a list of
them, each with `message_id`, `type` (a kind of receipt), and where they know them `occurred_at`
(ISO 8601), `reason`, of a bounce `bounce` (`hard` or `soft`), of a click `url`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, get_args

import msgspec
from pydantic import AfterValidator, AnyHttpUrl, Field, SecretStr

from services.kit.signature import key_of, signature
from services.orchestrator.channels.store import Target
from services.orchestrator.delivery import provider
from services.orchestrator.delivery.callbacks import (
    Callback,
    Callbacks,
    Said,
    message_of,
    objects,
    receipt,
    standard_webhook,
    time_of,
)
from services.orchestrator.delivery.capture import capture
from services.orchestrator.delivery.port import HandOver, Kind, Strict, Tools
from services.orchestrator.delivery.result import Result
from services.orchestrator.messages.model import Claimed
from services.orchestrator.receipts.model import ReceiptKind


def _strong(secret: SecretStr) -> SecretStr:
    key_of(secret.get_secret_value())
    return secret


SigningSecret = Annotated[SecretStr, AfterValidator(_strong)]
"""A secret of Standard Webhooks."""

_KINDS: dict[str, ReceiptKind] = {each: each for each in get_args(ReceiptKind)}


class Config(Strict):
    url: AnyHttpUrl = Field(
        description="Loopback and private addresses are refused when the request is sent (reason "
        "`address_not_allowed`), unless `ORCHESTRATOR_ALLOW_PRIVATE_WEBHOOKS` is set.",
        examples=["https://partner.example/hooks/waymark"],
    )


class Secrets(Strict):
    secret: SigningSecret = Field(
        description="`whsec_` and 24 to 64 random bytes in base64. Never shown again.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )


class Webhook:
    """Trying again is safe here: receivers see the same `webhook-id` and act once."""

    def __init__(self, target: Target, tools: Tools) -> None:
        self._target = target
        self._client = tools.client

    async def send(self, claim: Claimed, hand_over: HandOver, now: int) -> Result:
        body = msgspec.json.encode(claim.content["payload"])
        timestamp, secret = now // 1000, self._target.secrets["secret"]
        headers = {
            "content-type": "application/json",
            "webhook-id": str(claim.id),
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(secret, str(claim.id), timestamp, body),
        }
        request = provider.Request("POST", self._target.config["url"], body, headers)
        answer = await provider.deliver(self._client, request, claim, hand_over, idempotent=True)
        if isinstance(answer, Result):
            return answer
        if answer.ok:
            wanted = claim.content.get("capture") or {}
            return Result("accepted", captured=capture(answer.body, wanted))
        reason = provider.reason_of(answer)
        if answer.status in (401, 403):
            return Result("failed", reason)
        return provider.refused(answer, now, reason, idempotent=True)

    def close(self) -> None:
        """Nothing of its own is open."""


def _verify(callback: Callback, secrets: Mapping[str, Any], now: int) -> bool:
    return standard_webhook(callback, secrets["secret"], now, "webhook")


def _read(callback: Callback, now: int) -> Said:
    said = Said()
    for each in objects(callback.body):
        message_id = message_of(each.get("message_id"))
        kind = _KINDS.get(str(each.get("type")))
        if message_id is None or kind is None:
            continue
        said.receipts.append(
            receipt(
                kind,
                message_id,
                time_of(each.get("occurred_at"), now),
                reason=each.get("reason"),
                hard=each.get("bounce") == "hard" if kind == "bounced" else None,
                event_id=callback.headers["webhook-id"],
                url=each.get("url"),
            )
        )
    return said


KIND = Kind(
    type="webhook",
    medium="webhook",
    summary="Requests signed as Standard Webhooks says: `webhook-id`, `-timestamp`, `-signature`.",
    config=Config,
    secrets=Secrets,
    content="payload",
    open=Webhook,
    idempotent=True,
    max_attempts=8,
    callbacks=Callbacks(_verify, _read),
)
