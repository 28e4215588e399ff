"""What may happen to webhooks: set, removed, and tried on a sample."""

from collections.abc import Collection
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.events import Event
from services.kit import feeds
from services.kit.problems import InvalidRequest
from services.tracking.errors import WebhookNotFound
from services.tracking.ingest.accept import accept_calls
from services.tracking.ingest.convert import Origin
from services.tracking.plans.apply import Plan
from services.tracking.sources import store as sources
from services.tracking.webhooks import calls, signature, store
from services.tracking.webhooks.cache import Webhook
from services.tracking.webhooks.mapping import NotMapped
from services.tracking.webhooks.mapping_model import MappingDocument
from services.tracking.webhooks.model import (
    MappedEvent,
    RefusedItem,
    SignatureTest,
    WebhookPut,
    WebhookTested,
)
from services.tracking.webhooks.signature import StandardWebhooks, Unsigned
from services.tracking.webhooks.store import StoredWebhook
from services.tracking.webhooks.values import escape

Secrets = dict[str, dict[str, str]]


async def put(
    session: AsyncSession, workspace_id: UUID, source_id: str, body: WebhookPut
) -> StoredWebhook:
    """``InvalidRequest`` where the secrets do not fit the signature."""
    stored = await store.find(session, source_id, locked=True)
    secrets = _secrets(body.secrets, stored.secrets if stored else {})
    _check(body.signature, secrets)
    done = await store.put(
        session,
        workspace_id,
        source_id,
        body.signature.model_dump(mode="json"),
        body.mapping.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        secrets,
    )
    await sources.set_source(session, workspace_id, source_id, webhook_version=done.version)
    return done


async def remove(session: AsyncSession, workspace_id: UUID, source_id: str) -> None:
    """``WebhookNotFound`` where there is none."""
    if not await store.remove(session, source_id):
        raise absent(source_id)
    await sources.set_source(session, workspace_id, source_id, webhook_version=None)


async def mappings_of(
    session: AsyncSession, source_ids: Collection[str]
) -> dict[str, MappingDocument]:
    """By source, of those that have one."""
    found = await store.mappings(session, source_ids)
    return {name: MappingDocument.model_validate(mapping) for name, mapping in found.items()}


def absent(source_id: str) -> WebhookNotFound:
    return WebhookNotFound(f"The source {source_id} has no webhook.")


def _secrets(given: dict[str, SecretStr | None] | None, stored: Secrets) -> Secrets:
    if given is None:
        return stored
    now = datetime.now(UTC).isoformat()
    found: Secrets = {}
    for name, secret in given.items():
        if secret is not None:
            found[name] = {"secret": secret.get_secret_value(), "set_at": now}
        elif name in stored:
            found[name] = stored[name]
        else:
            pointer = f"#/secrets/{escape(name)}"
            raise InvalidRequest.at(pointer, "No secret is stored under this name to be kept.")
    return found


def _check(scheme: signature.Signature, secrets: Secrets) -> None:
    if isinstance(scheme, Unsigned):
        if secrets:
            raise InvalidRequest.at("#/secrets", "The scheme none has no secrets: send {} for it.")
        return
    if not secrets:
        raise InvalidRequest.at("#/secrets", f"The scheme {scheme.scheme} needs a secret.")
    if isinstance(scheme, StandardWebhooks):
        for name, kept in secrets.items():
            if signature.standard_key(kept["secret"]) is None:
                detail = "Use whsec_ and the base64 of 16 to 64 bytes."
                raise InvalidRequest.at(f"#/secrets/{escape(name)}", detail)
    elif scheme.header in signature.WITHHELD:
        detail = "This header is the gateway's own and does not come this far; use another."
        raise InvalidRequest.at("#/signature/header", detail)


def tested(
    stored: Webhook | None,
    mapping: MappingDocument,
    body: bytes,
    headers: dict[str, str],
    origin: Origin,
    plan: Plan | None,
) -> WebhookTested:
    """What ingestion would make of a sample; ``MalformedBody``."""
    delivery_id = signature.delivery_id(stored.signature, headers) if stored else ""
    found = calls.mapped(mapping, body, calls.delivered(headers, delivery_id))
    append, _ = accept_calls(found.calls, origin, plan, calls.PROTOCOL)
    lines = {
        found.calls.place(index) + call.said.pointer: call.said.line
        for index, call in enumerate(found.calls.calls)
        if isinstance(call.said, NotMapped)
    }
    return WebhookTested(
        signature=_signed(stored, body, headers, origin.received_at),
        events=[_event(e) for e in (feeds.unpack(append.data, Event) if append.count else [])],
        refused=[
            RefusedItem(
                reason=row.reason,
                pointer=row.pointer,
                mapping=lines.get(row.pointer),
                detail=row.detail,
            )
            for row in append.quarantined
        ],
        skipped=found.skipped,
    )


def _signed(
    stored: Webhook | None, body: bytes, headers: dict[str, str], now_ms: int
) -> SignatureTest:
    if stored is None:
        return SignatureTest(accepted=False, detail="The source has no webhook yet.")
    try:
        signature.verify(stored.signature, stored.secrets, headers, body, now_ms)
    except signature.NotSigned as error:
        return SignatureTest(accepted=False, detail=str(error))
    return SignatureTest(accepted=True, detail="It would be accepted.")


def _event(event: Event) -> MappedEvent:
    decode = msgspec.json.decode
    return MappedEvent(
        type=event.type,
        event=event.event,
        message_id=event.message_id,
        user_id=event.user_id,
        anonymous_id=event.anonymous_id,
        previous_id=event.previous_id,
        group_id=event.group_id,
        identifiers=event.identifiers,
        occurred_at=datetime.fromtimestamp(event.occurred_at / 1000, UTC),
        time_source=event.time_source,
        properties=decode(event.properties),
        traits=decode(event.traits),
        context=decode(event.context),
    )
