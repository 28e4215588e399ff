"""SQL of computed traits: what they are called and how they are defined."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, func, null, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.computed.tables import ComputedTraitRow

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


async def unknown(session: AsyncSession, workspace_id: UUID, read: Collection[str]) -> set[str]:
    """Names that rules cannot read as ``computed.<name>``. What belongs to a prediction is read
    as ``<its name>.<part>``."""
    traits, predictions = await _names(session, workspace_id, ComputedTraitRow.state != "removing")
    return {n for n in read if n not in traits and head(n) not in predictions}


async def is_taken(
    session: AsyncSession, workspace_id: UUID, name: str, *, prediction: bool = False
) -> bool:
    """Whether a name would mix with another, of one whose values are still being removed too: a
    prediction has everything before the first dot for itself. The lock is held."""
    traits, predictions = await _names(session, workspace_id, true())
    clashes = head(name) in predictions or name in traits
    return clashes or (prediction and name in map(head, traits))


def head(name: str) -> str:
    """What stands before the first dot."""
    return name.partition(".")[0]


async def _names(
    session: AsyncSession, workspace_id: UUID, condition: ColumnElement[bool]
) -> tuple[set[str], set[str]]:
    """Of computed traits and of predictions."""
    statement = select(ComputedTraitRow.name, ComputedTraitRow.definition.is_(None)).where(
        ComputedTraitRow.workspace_id == workspace_id, condition
    )
    traits: set[str] = set()
    predictions: set[str] = set()
    for name, is_prediction in await session.execute(statement):
        (predictions if is_prediction else traits).add(name)
    return traits, predictions


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
    """Register a name that is not taken: of a computed trait, or of a prediction, which has no
    definition here."""
    values = {
        "workspace_id": workspace_id,
        "trait_id": trait_id,
        "name": name,
        "kind": kind,
        # None alone would be JSON's null, which is a value.
        "definition": null() if definition is None else definition,
        "aggregate_id": aggregate_id,
        "description": description,
        "state": state,
        "progress": 0.0,
        "created_at": func.now(),
        "updated_at": func.now(),
    }
    await session.execute(insert(ComputedTraitRow).values(values))


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
        .where(ComputedTraitRow.workspace_id == workspace_id, ComputedTraitRow.trait_id == trait_id)
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
