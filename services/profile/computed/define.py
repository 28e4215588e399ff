"""What may happen to the definition of a computed trait."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.ids import uuid7
from services.kit.problems import InvalidRequest
from services.profile.computed import aggregates, store
from services.profile.computed.store import StoredTrait
from services.profile.errors import (
    ComputedTraitInUse,
    ComputedTraitNameTaken,
    ComputedTraitNotFound,
    TooManyComputedTraits,
)
from services.profile.rules import registry
from services.profile.stream import store as stream
from services.rules import RuleInvalid
from services.rules.aggregates import aggregate_of

MAX_TRAITS = 200
"""Of a workspace: each is looked at for every event of its name."""


async def create(
    session: AsyncSession,
    workspace_id: UUID,
    name: str,
    description: dict[str, Any],
    definition: dict[str, Any],
) -> StoredTrait:
    """Events count from this very transaction on; the past follows in the background."""
    place = await stream.lock(session, workspace_id)
    if len(await store.traits(session, workspace_id)) >= MAX_TRAITS:
        raise TooManyComputedTraits(f"A workspace has at most {MAX_TRAITS} computed traits.")
    if await store.is_taken(session, workspace_id, name):
        raise ComputedTraitNameTaken(
            f"computed.{name} exists, as a computed trait or as (a part of) a prediction, or its "
            "values are still being removed."
        )
    trait_id, aggregate_id = uuid7(), _aggregate_id(definition)
    await aggregates.add(session, workspace_id, aggregate_id, definition, place.log_offset)
    await store.add(
        session,
        workspace_id,
        trait_id,
        name,
        definition["kind"],
        description=description,
        definition=definition,
        aggregate_id=aggregate_id,
        state="backfilling",
    )
    await stream.revise_rules(session, workspace_id)
    return await read(session, workspace_id, trait_id)


async def replace(
    session: AsyncSession,
    workspace_id: UUID,
    trait_id: UUID,
    name: str,
    description: dict[str, Any],
    definition: dict[str, Any],
) -> StoredTrait:
    """A new definition is counted from here on; until its past is whole the old values stay."""
    place = await stream.lock(session, workspace_id)
    known = await read(session, workspace_id, trait_id)
    if name != known.name:
        raise InvalidRequest.at(
            "#/name", f"The name stays {known.name}: rules know it by that. Make a new trait."
        )
    aggregate_id, same = _aggregate_id(definition), definition == known.definition
    await aggregates.add(session, workspace_id, aggregate_id, definition, place.log_offset)
    await store.redefine(
        session,
        workspace_id,
        trait_id,
        kind=definition["kind"],
        definition=definition,
        aggregate_id=aggregate_id,
        description=description,
        state=known.state if same else "backfilling",
    )
    await aggregates.remove_unread(session, workspace_id)
    await stream.revise_rules(session, workspace_id)
    return await read(session, workspace_id, trait_id)


async def read(session: AsyncSession, workspace_id: UUID, trait_id: UUID) -> StoredTrait:
    found = await store.find(session, workspace_id, trait_id)
    if found is None:
        raise ComputedTraitNotFound(
            f"Computed trait {trait_id} does not exist.", trait_id=str(trait_id)
        )
    return found


async def delete(session: AsyncSession, workspace_id: UUID, trait_id: UUID) -> None:
    """The values are taken from profiles in the background; until then the name is not free."""
    await stream.lock(session, workspace_id)
    trait = await read(session, workspace_id, trait_id)
    if (reader := await registry.reader_of(session, workspace_id, trait.name)) is not None:
        raise ComputedTraitInUse(f"The {reader} reads computed.{trait.name}.")
    await store.set_states(session, workspace_id, [trait_id], "removing", 0.0)
    await stream.revise_rules(session, workspace_id)


def _aggregate_id(definition: dict[str, Any]) -> str:
    """``InvalidRequest`` at the field where the definition means nothing."""
    try:
        return aggregate_of(definition).aggregate_id
    except RuleInvalid as error:
        raise InvalidRequest.at(f"#{error.pointer}", error.detail) from error
