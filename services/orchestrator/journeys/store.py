"""SQL for journeys, their versions, and who is in them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, and_, case, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.journeys.moving import Move
from services.orchestrator.journeys.tables import JourneyRow, JourneyVersionRow

_COLUMNS = (
    JourneyRow.id,
    JourneyRow.key,
    JourneyRow.name,
    JourneyRow.state,
    JourneyRow.draft,
    JourneyRow.draft_revision,
    JourneyRow.live_version_id,
    JourneyVersionRow.number.label("live_version"),
    JourneyVersionRow.published_at,
    JourneyRow.created_at,
    JourneyRow.updated_at,
)
_FROM = select(*_COLUMNS).outerjoin(
    JourneyVersionRow, JourneyVersionRow.id == JourneyRow.live_version_id
)


async def add(
    session: AsyncSession,
    workspace_id: UUID,
    journey_id: UUID,
    key: str,
    name: str,
    draft: dict[str, Any],
) -> Row[Any] | None:
    """Adds it, or finds the one an earlier call with the same id made; None: the key is taken."""
    await session.execute(
        insert(JourneyRow)
        .values(
            id=journey_id,
            workspace_id=workspace_id,
            key=key,
            name=name,
            state="draft",
            draft=draft,
            draft_revision=1,
        )
        .on_conflict_do_nothing()
    )
    return await find(session, journey_id)


async def find(session: AsyncSession, journey_id: UUID) -> Row[Any] | None:
    return (await session.execute(_FROM.where(JourneyRow.id == journey_id))).one_or_none()


async def find_by_key(session: AsyncSession, key: str) -> Row[Any] | None:
    return (await session.execute(_FROM.where(JourneyRow.key == key))).one_or_none()


async def keys(session: AsyncSession, journey_ids: Collection[UUID]) -> dict[UUID, str]:
    statement = select(JourneyRow.id, JourneyRow.key).where(JourneyRow.id.in_(journey_ids))
    return {row.id: row.key for row in await session.execute(statement)}


async def keyed(session: AsyncSession, keys: Collection[str]) -> list[tuple[str, UUID]]:
    statement = select(JourneyRow.key, JourneyRow.id).where(JourneyRow.key.in_(keys))
    return [(row.key, row.id) for row in await session.execute(statement)]


async def page(
    session: AsyncSession, after: UUID | None, limit: int, state: str | None
) -> Sequence[Row[Any]]:
    statement = _FROM
    if after is not None:
        statement = statement.where(JourneyRow.id < after)
    if state is not None:
        statement = statement.where(JourneyRow.state == state)
    return (await session.execute(statement.order_by(JourneyRow.id.desc()).limit(limit))).all()


async def save_draft(
    session: AsyncSession, journey_id: UUID, name: str, draft: dict[str, Any]
) -> None:
    await session.execute(
        update(JourneyRow)
        .where(JourneyRow.id == journey_id)
        .values(
            name=name,
            draft=draft,
            draft_revision=JourneyRow.draft_revision + 1,
            updated_at=func.now(),
        )
    )


async def lock(session: AsyncSession, journey_id: UUID) -> Row[str, int] | None:
    """State and draft revision, locked until the transaction ends."""
    statement = (
        select(JourneyRow.state, JourneyRow.draft_revision)
        .where(JourneyRow.id == journey_id)
        .with_for_update()
    )
    return (await session.execute(statement)).one_or_none()


async def set_state(
    session: AsyncSession,
    journey_id: UUID,
    state: str,
    *,
    discarding: bool = False,
    releasing: bool = False,
) -> None:
    await session.execute(
        update(JourneyRow)
        .where(JourneyRow.id == journey_id)
        .values(state=state, discarding=discarding, releasing=releasing, updated_at=func.now())
    )


async def add_version(
    session: AsyncSession,
    workspace_id: UUID,
    journey_id: UUID,
    version_id: UUID,
    graph: dict[str, Any],
    warnings: list[Any],
) -> int:
    """The new version's number; it is the live one from now on. A paused journey stays paused."""
    last = await session.scalar(
        select(func.max(JourneyVersionRow.number)).where(JourneyVersionRow.journey_id == journey_id)
    )
    number = (last or 0) + 1
    await session.execute(
        insert(JourneyVersionRow).values(
            id=version_id,
            workspace_id=workspace_id,
            journey_id=journey_id,
            number=number,
            graph=graph,
            warnings=warnings,
        )
    )
    await session.execute(
        update(JourneyRow)
        .where(JourneyRow.id == journey_id)
        .values(
            state=case((JourneyRow.state == "paused", "paused"), else_="live"),
            live_version_id=version_id,
            updated_at=func.now(),
        )
    )
    return number


async def versions(
    session: AsyncSession, journey_id: UUID, before: int | None, limit: int
) -> Sequence[Row[UUID, int, dict[str, Any], list[Any], datetime]]:
    """The newest first, those below the number ``before``."""
    statement = select(
        JourneyVersionRow.id,
        JourneyVersionRow.number,
        JourneyVersionRow.graph,
        JourneyVersionRow.warnings,
        JourneyVersionRow.published_at,
    ).where(JourneyVersionRow.journey_id == journey_id)
    if before is not None:
        statement = statement.where(JourneyVersionRow.number < before)
    ordered = statement.order_by(JourneyVersionRow.number.desc()).limit(limit)
    return (await session.execute(ordered)).all()


async def running_versions(session: AsyncSession) -> Sequence[Row[UUID, str, UUID, bool]]:
    """journey_id, state, version_id, is_live_version of all versions of live, paused journeys."""
    statement = (
        select(
            JourneyRow.id.label("journey_id"),
            JourneyRow.state,
            JourneyVersionRow.id.label("version_id"),
            (JourneyVersionRow.id == JourneyRow.live_version_id).label("is_live_version"),
        )
        .join(JourneyVersionRow, JourneyVersionRow.journey_id == JourneyRow.id)
        .where(JourneyRow.state.in_(("live", "paused")))
        .order_by(JourneyVersionRow.id)
    )
    return (await session.execute(statement)).all()


async def version_graphs(
    session: AsyncSession, version_ids: Collection[UUID]
) -> list[tuple[UUID, dict[str, Any]]]:
    statement = select(JourneyVersionRow.id, JourneyVersionRow.graph).where(
        JourneyVersionRow.id.in_(version_ids)
    )
    return [(row.id, row.graph) for row in await session.execute(statement)]


async def ending(session: AsyncSession, journey_ids: Collection[UUID]) -> dict[UUID, str]:
    """Of the journeys that let everybody out who is due: the reason."""
    statement = select(JourneyRow.id, JourneyRow.state).where(
        JourneyRow.id.in_(journey_ids),
        or_(
            JourneyRow.state == "archived",
            and_(JourneyRow.state == "paused", JourneyRow.discarding),
        ),
    )
    return {row.id: f"journey_{row.state}" for row in await session.execute(statement)}


async def supersede(
    session: AsyncSession, journey_id: UUID, version_id: UUID, moves: Mapping[UUID, Move]
) -> None:
    """From now on the version takes over those still inside these older ones."""
    for older, move in moves.items():
        await session.execute(
            update(JourneyVersionRow)
            .where(JourneyVersionRow.id == older, JourneyVersionRow.journey_id == journey_id)
            .values(successor_id=version_id, move=msgspec.to_builtins(move))
        )


async def successors(
    session: AsyncSession, version_ids: Collection[UUID]
) -> dict[UUID, tuple[UUID, Move]]:
    """Of those of these versions that were superseded: by which, and how people move."""
    statement = select(
        JourneyVersionRow.id, JourneyVersionRow.successor_id, JourneyVersionRow.move
    ).where(JourneyVersionRow.id.in_(version_ids), JourneyVersionRow.successor_id.is_not(None))
    return {
        row.id: (row.successor_id, msgspec.convert(row.move, Move))
        for row in await session.execute(statement)
    }


async def pinned_graphs(session: AsyncSession, journey_id: UUID) -> Sequence[Row[Any]]:
    """id, number and graph of the versions that nothing supersedes."""
    statement = (
        select(JourneyVersionRow.id, JourneyVersionRow.number, JourneyVersionRow.graph)
        .where(JourneyVersionRow.journey_id == journey_id, JourneyVersionRow.successor_id.is_(None))
        .order_by(JourneyVersionRow.number)
    )
    return (await session.execute(statement)).all()


async def whereabouts(session: AsyncSession, journey_id: UUID) -> Sequence[Row[Any]]:
    """version_id, node, n: where the people inside are."""
    statement = text(
        "SELECT version_id, node, count(*) AS n FROM participant "
        "WHERE journey_id = :journey AND run_at IS NOT NULL GROUP BY version_id, node"
    )
    return (await session.execute(statement, {"journey": journey_id})).all()


async def end_participants(session: AsyncSession, journey_id: UUID) -> None:
    """Make everybody still in it due, so that the engine lets them out and tells so."""
    await session.execute(
        text(
            "UPDATE participant SET state = 'due', run_at = now(), fence = fence + 1 "
            "WHERE journey_id = :journey AND run_at IS NOT NULL"
        ),
        {"journey": journey_id},
    )


async def participants(
    session: AsyncSession,
    journey_id: UUID,
    *,
    after: UUID | None,
    limit: int,
    profile_id: UUID | None,
    node: str | None,
    state: str | None,
) -> Sequence[Row[Any]]:
    filters = "".join(
        f" AND p.{name} {operator} :{name}"
        for name, operator, value in (
            ("id", "<", after),
            ("profile_id", "=", profile_id),
            ("node", "=", node),
            ("state", "=", state),
        )
        if value is not None
    )
    statement = text(
        f"""
        SELECT p.id, p.profile_id, v.number AS version, p.instance_key, p.rotation, p.state,
            p.node, p.arrived_at, p.due_at, p.entered_at, p.exited_at, p.exit_reason
        FROM participant p JOIN journey_version v ON v.id = p.version_id
        WHERE p.journey_id = :journey{filters} ORDER BY p.id DESC LIMIT :limit
        """  # noqa: S608 - names of this file
    )
    values = {
        "journey": journey_id,
        "limit": limit,
        "id": after,
        "profile_id": profile_id,
        "node": node,
        "state": state,
    }
    used = {k: v for k, v in values.items() if v is not None}
    return (await session.execute(statement, used)).all()


async def flows(session: AsyncSession, journey_id: UUID, version: int | None) -> Sequence[Row[Any]]:
    """version, source, outcome, target, n."""
    statement = text(
        """
        SELECT v.number AS version, f.source, f.outcome, f.target, f.count AS n
        FROM flow f JOIN journey_version v ON v.id = f.version_id
        WHERE v.journey_id = :journey AND v.number = coalesce(CAST(:version AS int), v.number)
        ORDER BY v.number, f.source, f.outcome, f.target
        """
    )
    rows = await session.execute(statement, {"journey": journey_id, "version": version})
    return rows.all()


async def waiting(session: AsyncSession, journey_id: UUID, version: int | None) -> dict[str, int]:
    """Live participants by the node they are at."""
    statement = text(
        """
        SELECT p.node, count(*) AS n
        FROM participant p JOIN journey_version v ON v.id = p.version_id
        WHERE p.journey_id = :journey AND p.run_at IS NOT NULL
            AND v.number = coalesce(CAST(:version AS int), v.number)
        GROUP BY p.node
        """
    )
    rows = await session.execute(statement, {"journey": journey_id, "version": version})
    return {row.node: row.n for row in rows}


async def sends(session: AsyncSession, journey_id: UUID, version: int | None) -> Sequence[Row[Any]]:
    """node, state, reason, n of the live messages."""
    statement = text(
        """
        SELECT m.node, m.state, m.reason, count(*) AS n
        FROM message m JOIN journey_version v ON v.id = m.version_id
        WHERE m.journey_id = :journey AND m.replay_id IS NULL
            AND v.number = coalesce(CAST(:version AS int), v.number)
        GROUP BY m.node, m.state, m.reason ORDER BY m.node, m.state, m.reason
        """
    )
    rows = await session.execute(statement, {"journey": journey_id, "version": version})
    return rows.all()
