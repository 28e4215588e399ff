"""SQL of computed traits: their definitions, and what is counted for them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.computed import AggregateKind
from services.profile.computed.tables import (
    AggregateRow,
    ComputedPastRow,
    ComputedStateRow,
    ComputedTraitRow,
)
from services.profile.errors import ComputedTraitNameTaken
from services.profile.rules.ruleset import AggregatePlan, Trait, plan
from services.rules.aggregates import aggregate_of

State = Literal["backfilling", "sweeping", "ready", "removing"]


@dataclass(frozen=True, slots=True)
class StoredTrait:
    trait_id: UUID
    name: str
    kind: str
    definition: dict[str, Any]
    aggregate_id: str
    description: dict[str, Any]
    state: State
    progress: float
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class StoredAggregate:
    aggregate_id: str
    definition: dict[str, Any]
    start_offset: int
    state: Literal["backfilling", "folding", "ready"]
    run_id: UUID | None


def _traits(workspace_id: UUID) -> Select[Any]:
    """Those that are calculated from events; predictions have only their names here."""
    columns = [getattr(ComputedTraitRow, name) for name in StoredTrait.__dataclass_fields__]
    return select(*columns).where(
        ComputedTraitRow.workspace_id == workspace_id, ComputedTraitRow.definition.is_not(None)
    )


async def traits(session: AsyncSession, workspace_id: UUID) -> list[StoredTrait]:
    """All of them, those being removed too, in order of creation."""
    found = await session.execute(_traits(workspace_id).order_by(ComputedTraitRow.trait_id))
    return [StoredTrait(**row._mapping) for row in found]


async def find(session: AsyncSession, workspace_id: UUID, trait_id: UUID) -> StoredTrait | None:
    statement = _traits(workspace_id).where(
        ComputedTraitRow.trait_id == trait_id, ComputedTraitRow.state != "removing"
    )
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else StoredTrait(**row._mapping)


async def page(
    session: AsyncSession, workspace_id: UUID, after: UUID, limit: int
) -> list[StoredTrait]:
    """Traits after an id; ids are ordered by time of creation."""
    statement = (
        _traits(workspace_id)
        .where(ComputedTraitRow.trait_id > after, ComputedTraitRow.state != "removing")
        .order_by(ComputedTraitRow.trait_id)
        .limit(limit)
    )
    return [StoredTrait(**row._mapping) for row in await session.execute(statement)]


async def names(session: AsyncSession, workspace_id: UUID) -> set[str]:
    """What rules may read as ``computed.<name>``, predictions included."""
    statement = select(ComputedTraitRow.name).where(
        ComputedTraitRow.workspace_id == workspace_id, ComputedTraitRow.state != "removing"
    )
    return set((await session.execute(statement)).scalars())


async def add(
    session: AsyncSession,
    workspace_id: UUID,
    trait_id: UUID,
    name: str,
    kind: str,
    *,
    description: dict[str, Any],
    definition: dict[str, Any] | None = None,
    aggregate_id: str | None = None,
    state: State = "ready",
) -> None:
    """Register a name: of a computed trait, or of a prediction, which has no definition here.

    Raises ``ComputedTraitNameTaken``.
    """
    values = {
        "workspace_id": workspace_id,
        "trait_id": trait_id,
        "name": name,
        "kind": kind,
        "definition": definition,
        "aggregate_id": aggregate_id,
        "description": description,
        "state": state,
        "progress": 0.0,
        "created_at": func.now(),
        "updated_at": func.now(),
    }
    try:
        await session.execute(insert(ComputedTraitRow).values(values))
    except IntegrityError as error:
        raise ComputedTraitNameTaken(
            f"computed.{name} exists, or its values are still being removed."
        ) from error


async def redefine(
    session: AsyncSession,
    workspace_id: UUID,
    trait_id: UUID,
    *,
    kind: str,
    definition: dict[str, Any],
    aggregate_id: str,
    description: dict[str, Any],
    state: State,
) -> None:
    await session.execute(
        update(ComputedTraitRow)
        .where(
            ComputedTraitRow.workspace_id == workspace_id, ComputedTraitRow.trait_id == trait_id
        )
        .values(
            kind=kind,
            definition=definition,
            aggregate_id=aggregate_id,
            description=description,
            state=state,
            progress=1.0 if state == "ready" else 0.0,
            updated_at=func.now(),
        )
    )


async def set_states(
    session: AsyncSession,
    workspace_id: UUID,
    trait_ids: Collection[UUID],
    state: State,
    progress: float,
) -> None:
    await session.execute(
        update(ComputedTraitRow)
        .where(
            ComputedTraitRow.workspace_id == workspace_id,
            ComputedTraitRow.trait_id.in_(list(trait_ids)),
        )
        .values(state=state, progress=progress)
    )


async def set_progress(
    session: AsyncSession, workspace_id: UUID, trait_ids: Collection[UUID], progress: float
) -> None:
    await session.execute(
        update(ComputedTraitRow)
        .where(
            ComputedTraitRow.workspace_id == workspace_id,
            ComputedTraitRow.trait_id.in_(list(trait_ids)),
        )
        .values(progress=progress)
    )


async def remove(session: AsyncSession, workspace_id: UUID, trait_ids: Collection[UUID]) -> None:
    await session.execute(
        delete(ComputedTraitRow).where(
            ComputedTraitRow.workspace_id == workspace_id,
            ComputedTraitRow.trait_id.in_(list(trait_ids)),
        )
    )


async def aggregates(session: AsyncSession, workspace_id: UUID) -> list[StoredAggregate]:
    """What is counted, by start offset."""
    columns = [getattr(AggregateRow, name) for name in StoredAggregate.__dataclass_fields__]
    found = await session.execute(
        select(*columns)
        .where(AggregateRow.workspace_id == workspace_id)
        .order_by(AggregateRow.start_offset, AggregateRow.aggregate_id)
    )
    return [StoredAggregate(**row._mapping) for row in found]


async def add_aggregate(
    session: AsyncSession,
    workspace_id: UUID,
    aggregate_id: str,
    definition: dict[str, Any],
    start_offset: int,
) -> None:
    """Count from here on, unless it is counted already; what lies before has to be fetched."""
    await session.execute(
        insert(AggregateRow)
        .values(
            workspace_id=workspace_id,
            aggregate_id=aggregate_id,
            definition=definition,
            start_offset=start_offset,
            # Where nothing lies in the past there is nothing to fetch.
            state="backfilling" if start_offset else "ready",
        )
        .on_conflict_do_nothing()
    )


async def set_aggregates(
    session: AsyncSession, workspace_id: UUID, aggregate_ids: Collection[str], **values: Any
) -> None:
    """Change ``state`` or ``run_id``."""
    await session.execute(
        update(AggregateRow)
        .where(
            AggregateRow.workspace_id == workspace_id,
            AggregateRow.aggregate_id.in_(list(aggregate_ids)),
        )
        .values(**values)
    )


async def forget_past(
    session: AsyncSession, workspace_id: UUID, aggregate_ids: Collection[str]
) -> None:
    await session.execute(
        delete(ComputedPastRow).where(
            ComputedPastRow.workspace_id == workspace_id,
            ComputedPastRow.aggregate_id.in_(list(aggregate_ids)),
        )
    )


async def remove_unread_aggregates(session: AsyncSession, workspace_id: UUID) -> None:
    """Stop counting what no trait needs any more."""
    needed = {trait.aggregate_id for trait in await traits(session, workspace_id)}
    known = {each.aggregate_id for each in await aggregates(session, workspace_id)}
    if unread := known - needed:
        for table in (AggregateRow, ComputedStateRow, ComputedPastRow):
            await session.execute(
                delete(table).where(
                    table.workspace_id == workspace_id, table.aggregate_id.in_(list(unread))
                )
            )


async def plans(session: AsyncSession, workspace_id: UUID) -> list[AggregatePlan]:
    """How events are counted, and the traits whose values are shown."""
    shown: dict[str, list[Trait]] = {}
    for trait in await traits(session, workspace_id):
        if trait.state in ("sweeping", "ready"):
            found = Trait(trait.name, cast(AggregateKind, trait.kind))
            shown.setdefault(trait.aggregate_id, []).append(found)
    made: list[AggregatePlan] = []
    for each in await aggregates(session, workspace_id):
        aggregate = aggregate_of(each.definition)
        of = tuple(shown.get(each.aggregate_id, ()))
        made.append(AggregatePlan(aggregate, plan(aggregate.leaf), of, each.state == "folding"))
    return made
