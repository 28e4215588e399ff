"""SQL of the quarantine."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, cast, func, insert, select, tuple_, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from services.tracking.log.port import Quarantined
from services.tracking.tables import QuarantineRow

PLAN_REASONS = ("plan_violation", "plan_blocked")
_ROW = QuarantineRow
_GIVEN = tuple(field.name for field in fields(Quarantined))


@dataclass(frozen=True, slots=True)
class Filter:
    """What is asked for; None stands for everything."""

    source_id: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    replayed: bool | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A row without its bytes. ``violations`` is JSON."""

    id: int
    source_id: str
    received_at: datetime
    reason: str
    pointer: str
    detail: str
    violations: str | None
    replayed_at: datetime | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ToReplay:
    id: int
    source_id: str
    received_at: datetime
    reason: str
    pointer: str
    raw: bytes
    origin: bytes | None


_HELD = (
    _ROW.id,
    _ROW.source_id,
    _ROW.received_at,
    _ROW.reason,
    _ROW.pointer,
    _ROW.detail,
    _ROW.violations,
    _ROW.replayed_at,
    func.octet_length(_ROW.raw),
)


async def page(session: AsyncSession, wanted: Filter, before: int | None, limit: int) -> list[Held]:
    """Newest first, those before ``before`` only."""
    statement = select(*_HELD).where(*_conditions(wanted)).order_by(_ROW.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(_ROW.id < before)
    return [Held(*row) for row in await session.execute(statement)]


async def find(session: AsyncSession, row_id: int) -> tuple[Held, bytes] | None:
    statement = select(*_HELD, _ROW.raw).where(_ROW.id == row_id)
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else (Held(*row[:-1]), row[-1])


async def broken_plan(
    session: AsyncSession,
    plan_id: UUID,
    wanted: Filter,
    *,
    event: str | None,
    before: tuple[int, int],
    limit: int,
) -> list[tuple[int, Held]]:
    """(received at in ms, row) of what a plan refused, newest first, below ``before`` (that time
    and an id)."""
    record = cast(_ROW.violations, JSONB)
    at_ms = cast(func.floor(func.extract("epoch", _ROW.received_at) * 1000), BigInteger)
    statement = (
        select(at_ms, *_HELD)
        .where(
            *_conditions(wanted),
            _ROW.reason.in_(PLAN_REASONS),
            record["plan"].astext == str(plan_id),
            tuple_(at_ms, _ROW.id) < tuple_(*before),
        )
        .order_by(at_ms.desc(), _ROW.id.desc())
        .limit(limit)
    )
    if event is not None:
        statement = statement.where(record["event"].astext == event)
    return [(ms, Held(*row)) for ms, *row in await session.execute(statement)]


async def ids_present(session: AsyncSession, ids: Sequence[int]) -> dict[int, bool]:
    """Of ``ids`` those that exist, and whether they were replayed."""
    statement = select(_ROW.id, _ROW.replayed_at).where(_ROW.id.in_(ids))
    return {row_id: at is not None for row_id, at in await session.execute(statement)}


async def claim(
    session: AsyncSession,
    *,
    ids: Sequence[int] | None,
    wanted: Filter,
    after: int,
    limit: int,
    max_bytes: int,
) -> list[ToReplay]:
    """Rows not yet replayed, oldest first, locked until the transaction ends.

    At most ``limit`` rows of ``max_bytes`` in all, but at least one. A row that another replay
    holds is waited for, and then left out when that replay took it.
    """
    size = func.sum(func.octet_length(_ROW.raw)).over(order_by=_ROW.id)
    chosen = select(_ROW.id, size.label("size")).where(
        *_conditions(wanted), _ROW.id > after, _ROW.replayed_at.is_(None)
    )
    if ids is not None:
        chosen = chosen.where(_ROW.id.in_(ids))
    chosen_rows = chosen.order_by(_ROW.id).limit(limit).subquery()
    first = select(func.min(chosen_rows.c.id)).scalar_subquery()
    taken = select(chosen_rows.c.id).where(
        (chosen_rows.c.size <= max_bytes) | (chosen_rows.c.id == first)
    )
    statement = (
        select(
            _ROW.id,
            _ROW.source_id,
            _ROW.received_at,
            _ROW.reason,
            _ROW.pointer,
            _ROW.raw,
            _ROW.origin,
        )
        .where(_ROW.id.in_(taken), _ROW.replayed_at.is_(None))
        .order_by(_ROW.id)
        .with_for_update()
    )
    return [ToReplay(*row) for row in await session.execute(statement)]


async def mark_replayed(session: AsyncSession, ids: Sequence[int]) -> None:
    await session.execute(
        update(_ROW).where(_ROW.id.in_(ids)).values(replayed_at=func.clock_timestamp())
    )


async def add(session: AsyncSession, refused: Sequence[Quarantined]) -> None:
    if refused:
        rows = [{name: getattr(each, name) for name in _GIVEN} for each in refused]
        statement = insert(QuarantineRow).values(received_at=func.clock_timestamp())
        await session.execute(statement, rows)


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.source_id is not None:
        found.append(_ROW.source_id == wanted.source_id)
    if wanted.reason is not None:
        found.append(_ROW.reason == wanted.reason)
    if wanted.since is not None:
        found.append(_ROW.received_at >= wanted.since)
    if wanted.until is not None:
        found.append(_ROW.received_at < wanted.until)
    if wanted.replayed is not None:
        found.append(_ROW.replayed_at.is_not(None) == wanted.replayed)
    return found
