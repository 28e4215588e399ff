"""SQL of what is counted for computed traits; kinds that need the same of events share it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, cast
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.computed import AggregateKind
from services.profile.computed import store
from services.profile.computed.tables import AggregateRow, ComputedPastRow, ComputedStateRow
from services.profile.rules.ruleset import AggregatePlan, Trait, plan
from services.rules.aggregates import aggregate_of


@dataclass(frozen=True, slots=True)
class StoredAggregate:
    aggregate_id: str
    definition: dict[str, Any]
    start_offset: int
    state: Literal["backfilling", "folding", "ready"]
    run_id: UUID | None


async def load(session: AsyncSession, workspace_id: UUID) -> list[StoredAggregate]:
    """What is counted, by start offset."""
    columns = [getattr(AggregateRow, name) for name in StoredAggregate.__dataclass_fields__]
    found = await session.execute(
        select(*columns)
        .where(AggregateRow.workspace_id == workspace_id)
        .order_by(AggregateRow.start_offset, AggregateRow.aggregate_id)
    )
    return [StoredAggregate(**row._mapping) for row in found]


async def add(
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


async def change(
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


async def remove_unread(session: AsyncSession, workspace_id: UUID) -> None:
    """Stop counting what no trait needs any more."""
    needed = {trait.aggregate_id for trait in await store.traits(session, workspace_id)}
    known = {each.aggregate_id for each in await load(session, workspace_id)}
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
    for trait in await store.traits(session, workspace_id):
        if trait.state in ("sweeping", "ready"):
            found = Trait(trait.name, cast(AggregateKind, trait.kind))
            shown.setdefault(trait.aggregate_id, []).append(found)
    made: list[AggregatePlan] = []
    for each in await load(session, workspace_id):
        aggregate = aggregate_of(each.definition)
        of = tuple(shown.get(each.aggregate_id, ()))
        made.append(AggregatePlan(aggregate, plan(aggregate.leaf), of, each.state == "folding"))
    return made
