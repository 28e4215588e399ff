"""What may happen to sources."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.audit import store as audit
from gateway.errors import AlreadyCreated
from gateway.keys import service as keys
from gateway.keys.model import ApiKeyCreate
from gateway.sources import store
from gateway.sources.model import SourceCreated


async def create(
    session: AsyncSession, workspace_id: UUID, source_id: UUID, name: str, actor: str
) -> SourceCreated:
    """A source and its first write key."""
    source = await store.add(session, workspace_id, source_id, name)
    if source is None:
        raise AlreadyCreated("An earlier call made this source.", id=str(source_id))
    await audit.record(session, workspace_id, actor, "source.created", "source", source.id, {})
    body = ApiKeyCreate(kind="write", name=name, source_id=source.id)
    key = await keys.create(session, workspace_id, body, actor)
    return SourceCreated(**source.model_dump(), write_key=key.key)
