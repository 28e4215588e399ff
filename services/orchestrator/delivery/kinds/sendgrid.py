"""Email by SendGrid. It honours no key: what it took without our hearing of it is `unknown`.

Sources: the SendGrid v3 API reference, "Mail Send", "Status codes and errors", "Rate limits"; of
what it says afterwards "Event Webhook Reference" and "Getting Started with the Event Webhook
Security Features": ECDSA on P-256 with SHA-256 over the timestamp and the body as it came.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import AnyHttpUrl, Field, SecretStr, field_validator

from services.orchestrator.channels.store import Target
from services.orchestrator.delivery import provider
from services.orchestrator.delivery.callbacks import (
    Callback,
    Callbacks,
    Said,
    fresh,
    message_of,
    objects,
    receipt,
    time_of,
)
from services.orchestrator.delivery.kinds.email import one_click_headers
from services.orchestrator.delivery.port import HandOver, Key, Kind, MailFrom, Strict, Tools, latest
from services.orchestrator.delivery.result import Result
from services.orchestrator.messages.model import Claimed
from services.orchestrator.receipts.model import NewReceipt

_SIGNATURE = "x-twilio-email-event-webhook-signature"
_TIMESTAMP = "x-twilio-email-event-webhook-timestamp"


class Config(MailFrom):
    base_url: AnyHttpUrl = Field(
        AnyHttpUrl("https://api.sendgrid.com"),
        validate_default=True,
        description="`https://api.eu.sendgrid.com` for data in the European Union.",
    )


class Secrets(Strict):
    api_key: Key = Field(description="Never shown again.", examples=["SG.the-api-key"])
    webhook_public_key: SecretStr | None = Field(
        None,
        max_length=1_000,
        description="The verification key of the event webhook that points to the channel's "
        "`callback_url`, as SendGrid shows it (base64): without it what SendGrid says afterwards "
        "is not believed.",
    )

    @field_validator("webhook_public_key")
    @classmethod
    def _is_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            public_key(key.get_secret_value())
        return key


class Sendgrid:
    def __init__(self, target: Target, tools: Tools) -> None:
        self._target = target
        self._client = tools.client

    async def send(self, claim: Claimed, hand_over: HandOver, now: int) -> Result:
        try:
            request = self._request(claim)
        except ValueError as error:
            return Result("failed", f"not_a_mail: {error}")
        answer = await provider.deliver(self._client, request, claim, hand_over)
        if isinstance(answer, Result):
            return answer
        if answer.ok:
            return Result("accepted", provider_id=answer.headers.get("x-message-id"))
        errors = answer.json().get("errors")
        first = errors[0] if isinstance(errors, list) and errors else {}
        detail = first.get("message") if isinstance(first, dict) else None
        reset = answer.headers.get("x-ratelimit-reset", "")
        if answer.status == 429 and reset.isdigit() and "retry-after" not in answer.headers:
            # SendGrid names the second at which its window begins anew.
            answer.headers["retry-after"] = str(max(1, int(reset[:12]) - now // 1_000))
        return provider.refused(answer, now, provider.reason_of(answer, None, detail))

    def _request(self, claim: Claimed) -> provider.Request:
        config = self._target.config
        sender = {"email": config["from_address"]}
        if config.get("from_name"):
            sender["name"] = config["from_name"]
        content = [{"type": "text/plain", "value": claim.content["text"]}]
        if claim.content.get("html"):
            content.append({"type": "text/html", "value": claim.content["html"]})
        body = {
            "personalizations": [
                {"to": [{"email": claim.contact}], "custom_args": {"message_id": str(claim.id)}}
            ],
            "from": sender,
            "subject": claim.content["subject"],
            "content": content,
            "headers": {"X-Waymark-Message-Id": str(claim.id), **one_click_headers(claim)},
        }
        return provider.json_request(
            f"{config['base_url'].rstrip('/')}/v3/mail/send",
            body,
            authorization=f"Bearer {self._target.secrets['api_key']}",
        )

    def close(self) -> None:
        """Nothing of its own is open."""


def public_key(text: str) -> ec.EllipticCurvePublicKey:
    """``ValueError`` for anything but a key on P-256."""
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, TypeError) as error:
        raise ValueError("a verification key is base64 of a public key in DER") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("the verification key is on the curve P-256")
    return key


def _verify(callback: Callback, secrets: Mapping[str, Any], now: int) -> bool:
    known, timestamp = secrets.get("webhook_public_key"), callback.headers.get(_TIMESTAMP, "")
    if not known or not fresh(timestamp, now):
        return False
    try:
        given = base64.b64decode(callback.headers.get(_SIGNATURE, ""), validate=True)
        signed = timestamp.encode() + callback.body
        public_key(known).verify(given, signed, ec.ECDSA(hashes.SHA256()))
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True


def _read(callback: Callback, now: int) -> Said:
    said = Said()
    for event in objects(callback.body):
        message_id = message_of(event.get("message_id"))
        if message_id is None:
            continue
        found = _receipt(event, message_id, time_of(event.get("timestamp"), now))
        if found is not None:
            said.receipts.append(found)
        elif event.get("event") in ("processed", "deferred"):
            said.taken.add(message_id)
    return said


def _receipt(event: Mapping[str, Any], message_id: UUID, at: int) -> NewReceipt | None:
    reason, event_id = event.get("reason"), str(event.get("sg_event_id", ""))
    match event.get("event"):
        case "delivered":
            return receipt("delivered", message_id, at)
        case "open":
            machine = event.get("sg_machine_open") is True
            return receipt("opened", message_id, at, automated=machine)
        case "click":
            return receipt("clicked", message_id, at, url=event.get("url"))
        case "bounce":
            # `blocked`: refused for now, for a reason that is none of the address.
            hard = event.get("type") != "blocked"
            return receipt("bounced", message_id, at, reason=reason, hard=hard, event_id=event_id)
        case "spamreport":
            return receipt("complained", message_id, at)
        case "unsubscribe" | "group_unsubscribe":
            return receipt("unsubscribed", message_id, at)
        case "dropped":
            # It did not even try, as the address bounced before.
            if reason == "Bounced Address":
                return receipt("bounced", message_id, at, reason=reason, hard=True)
            return receipt("failed", message_id, at, reason=reason)
        case _:
            return None


KIND = Kind(
    type="sendgrid",
    medium="email",
    summary="Email by SendGrid.",
    config=Config,
    secrets=Secrets,
    content="mail",
    address=latest("email"),
    open=Sendgrid,
    callbacks=Callbacks(_verify, _read),
)
