"""What may happen to keys."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.audit import store as audit
from gateway.errors import AlreadyCreated, KeyNotFound, LastSecretKey, SourceNotFound
from gateway.keys import secret, store
from gateway.keys.model import ApiKeyCreate, ApiKeyCreated
from gateway.sources import store as sources
from services.kit.problems import InvalidRequest


async def create(
    session: AsyncSession,
    workspace_id: UUID,
    body: ApiKeyCreate,
    actor: str,
    key_id: UUID | None = None,
) -> ApiKeyCreated:
    if (body.kind == "write") != (body.source_id is not None):
        raise InvalidRequest.at("#/source_id", "A write key needs a source; a secret key has none.")
    if body.source_id is not None and not await sources.exists(session, body.source_id):
        raise SourceNotFound(f"Source {body.source_id} does not exist.")
    new = secret.generate(body.kind, key_id)
    key = await store.add(
        session, workspace_id, new, name=body.name, source_id=body.source_id, created_by=actor
    )
    if key is None:
        raise AlreadyCreated("An earlier call made this key.", id=str(new.id))
    await audit.record(
        session, workspace_id, actor, "key.created", "key", key.id, {"kind": key.kind}
    )
    return ApiKeyCreated(**key.model_dump(), key=new.text)


async def revoke(session: AsyncSession, workspace_id: UUID, key_id: UUID, actor: str) -> None:
    """Revoking a revoked key changes nothing."""
    await store.lock_keys(session)
    key = await store.find(session, key_id)
    if key is None:
        raise KeyNotFound(f"Key {key_id} does not exist.")
    if key.revoked_at is not None:
        return
    if key.kind == "secret" and await store.count_active(session, "secret") == 1:
        raise LastSecretKey("Create another secret key first: nobody could after this one is gone.")
    await store.revoke(session, key_id)
    await audit.record(
        session, workspace_id, actor, "key.revoked", "key", key_id, {"kind": key.kind}
    )
