"""What a workspace decides about traits: it counts from the next event of the log on."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.errors import TooManyTraitDefinitions, TraitDefinitionNotFound
from services.profile.stream import store as stream
from services.profile.traits import store
from services.profile.traits.definition import TraitDefinition, TraitDefinitionPut

MAX_DEFINITIONS = 1000


async def define(
    session: AsyncSession, workspace_id: UUID, name: str, wanted: TraitDefinitionPut
) -> TraitDefinition:
    place = await stream.lock(session, workspace_id)
    if (
        await store.find(session, workspace_id, name) is None
        and len(await store.page(session, workspace_id, "", MAX_DEFINITIONS)) >= MAX_DEFINITIONS
    ):
        raise TooManyTraitDefinitions(f"At most {MAX_DEFINITIONS} traits can be registered.")
    definition = wanted.model_dump(exclude={"name"})
    await store.put(session, workspace_id, place.log_offset, name, definition)
    await stream.revise_rules(session, workspace_id)
    return TraitDefinition(name=name, **definition)


async def forget(session: AsyncSession, workspace_id: UUID, name: str) -> None:
    place = await stream.lock(session, workspace_id)
    if await store.find(session, workspace_id, name) is None:
        raise not_found(name)
    await store.put(session, workspace_id, place.log_offset, name, None)
    await stream.revise_rules(session, workspace_id)


async def set_sources(
    session: AsyncSession, workspace_id: UUID, sources: Mapping[str, int], registered_only: bool
) -> None:
    place = await stream.lock(session, workspace_id)
    await store.put_settings(
        session, workspace_id, place.log_offset, dict(sources), registered_only
    )
    await stream.revise_rules(session, workspace_id)


def not_found(name: str) -> TraitDefinitionNotFound:
    return TraitDefinitionNotFound(f"No trait is registered as {name!r}.")
