"""Email by Resend, which honours the message's id as `Idempotency-Key` for 24 hours.

Sources: resend.com/docs "Send Email", "Idempotency Keys", "Errors", "Usage Limits"; of what it says
afterwards "Webhooks: Event Types" and "Verify Webhooks Requests" (signed by Svix, which is Standard
Webhooks with other names of headers). The message is named by a tag, which comes back.
"""

from collections.abc import Mapping
from email.utils import formataddr
from typing import Any

from pydantic import AnyHttpUrl, Field

from services.orchestrator.channels.store import Target
from services.orchestrator.delivery import provider
from services.orchestrator.delivery.callbacks import (
    Callback,
    Callbacks,
    Said,
    inner,
    message_of,
    objects,
    receipt,
    standard_webhook,
    time_of,
)
from services.orchestrator.delivery.kinds.email import one_click_headers
from services.orchestrator.delivery.kinds.webhook import SigningSecret
from services.orchestrator.delivery.port import HandOver, Key, Kind, MailFrom, Strict, Tools, latest
from services.orchestrator.delivery.result import Result
from services.orchestrator.messages.model import Claimed


class Config(MailFrom):
    base_url: AnyHttpUrl = Field(AnyHttpUrl("https://api.resend.com"), validate_default=True)


class Secrets(Strict):
    api_key: Key = Field(description="Never shown again.", examples=["re_the-api-key"])
    webhook_secret: SigningSecret | None = Field(
        None,
        description="Of the webhook that points to the channel's `callback_url`: without it what "
        "Resend says afterwards is not believed. Never shown again.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )


class Resend:
    def __init__(self, target: Target, tools: Tools) -> None:
        self._target = target
        self._client = tools.client

    async def send(self, claim: Claimed, hand_over: HandOver, now: int) -> Result:
        try:
            request = self._request(claim)
        except ValueError as error:
            return Result("failed", f"not_a_mail: {error}")
        answer = await provider.deliver(self._client, request, claim, hand_over, idempotent=True)
        if isinstance(answer, Result):
            return answer
        said = answer.json()
        if answer.ok:
            return Result("accepted", provider_id=str(said.get("id", ""))[:200] or None)
        name = said.get("name")
        reason = provider.reason_of(answer, name, said.get("message"))
        if name == "concurrent_idempotent_requests":
            return Result("again", reason)
        if name == "invalid_idempotent_request":
            # Something was taken under our key, in other words than we would send now.
            return Result("unknown", reason)
        if answer.status == 403 and name == "validation_error":
            return Result("failed", reason)
        return provider.refused(answer, now, reason, idempotent=True)

    def _request(self, claim: Claimed) -> provider.Request:
        config = self._target.config
        body = {
            "from": formataddr((config.get("from_name") or "", config["from_address"])),
            "to": [claim.contact],
            "subject": claim.content["subject"],
            "text": claim.content["text"],
            "tags": [{"name": "message_id", "value": str(claim.id)}],
            "headers": {"X-Waymark-Message-Id": str(claim.id), **one_click_headers(claim)},
        }
        if claim.content.get("html"):
            body["html"] = claim.content["html"]
        return provider.json_request(
            f"{config['base_url'].rstrip('/')}/emails",
            body,
            authorization=f"Bearer {self._target.secrets['api_key']}",
            idempotency_key=str(claim.id),
        )

    def close(self) -> None:
        """Nothing of its own is open."""


def _verify(callback: Callback, secrets: Mapping[str, Any], now: int) -> bool:
    return standard_webhook(callback, secrets.get("webhook_secret"), now, "svix")


def _read(callback: Callback, now: int) -> Said:
    said = Said()
    for event in objects(callback.body):
        data, type_ = inner(event, "data"), event.get("type")
        message_id = message_of(inner(data, "tags").get("message_id"))
        if message_id is None:
            continue
        at = time_of(event.get("created_at"), now)
        bounce = inner(data, "bounce")
        match type_:
            case "email.sent" | "email.delivery_delayed":
                said.taken.add(message_id)
            case "email.delivered":
                said.receipts.append(receipt("delivered", message_id, at))
            case "email.opened":
                said.receipts.append(receipt("opened", message_id, at))
            case "email.clicked":
                url = inner(data, "click").get("link")
                said.receipts.append(receipt("clicked", message_id, at, url=url))
            case "email.complained":
                said.receipts.append(receipt("complained", message_id, at))
            case "email.bounced":
                said.receipts.append(
                    receipt(
                        "bounced",
                        message_id,
                        at,
                        reason=bounce.get("message"),
                        hard=bounce.get("type") == "Permanent",
                        event_id=callback.headers.get("svix-id", ""),
                    )
                )
            case "email.failed" | "email.suppressed":
                why = inner(data, "failed").get("reason") or inner(data, "suppressed").get(
                    "message"
                )
                said.receipts.append(receipt("failed", message_id, at, reason=why))
    return said


KIND = Kind(
    type="resend",
    medium="email",
    summary="Email by Resend.",
    config=Config,
    secrets=Secrets,
    content="mail",
    address=latest("email"),
    open=Resend,
    idempotent=True,
    callbacks=Callbacks(_verify, _read),
)
