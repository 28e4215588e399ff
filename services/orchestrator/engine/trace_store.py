"""What steps leave: counts per edge, and the outbox of outcomes for tracking."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.events import Outcome
from services.kit.feeds import pack
from services.orchestrator.engine.participants import Traces

OUTBOX_BLOCK = 5_000


async def count_flows(
    session: AsyncSession, workspace_id: UUID, flows: Mapping[tuple[UUID, str, str, str], int]
) -> None:
    if not flows:
        return
    # In one order everywhere: two blocks that count the same edges must not deadlock.
    keys = sorted(flows)
    await session.execute(
        text(
            """
            INSERT INTO flow AS f (workspace_id, version_id, source, outcome, target, count)
            SELECT :ws, * FROM unnest(CAST(:versions AS uuid[]), CAST(:sources AS text[]),
                CAST(:outcomes AS text[]), CAST(:targets AS text[]), CAST(:counts AS bigint[]))
            ON CONFLICT (workspace_id, version_id, source, outcome, target)
            DO UPDATE SET count = f.count + excluded.count
            """
        ),
        {
            "ws": workspace_id,
            "versions": [key[0] for key in keys],
            "sources": [key[1] for key in keys],
            "outcomes": [key[2] for key in keys],
            "targets": [key[3] for key in keys],
            "counts": [flows[key] for key in keys],
        },
    )


async def queue_outcomes(
    session: AsyncSession, workspace_id: UUID, outcomes: Sequence[Outcome]
) -> None:
    """Put outcomes into the outbox, in blocks."""
    for start in range(0, len(outcomes), OUTBOX_BLOCK):
        block = outcomes[start : start + OUTBOX_BLOCK]
        await session.execute(
            text("INSERT INTO outbox (workspace_id, count, data) VALUES (:ws, :count, :data)"),
            {"ws": workspace_id, "count": len(block), "data": pack(block)},
        )


async def first_outcomes(session: AsyncSession, workspace_id: UUID) -> tuple[int, bytes] | None:
    """(row id, packed block) of the oldest block that was not told yet."""
    rows = await session.execute(
        text("SELECT id, data FROM outbox WHERE workspace_id = :ws ORDER BY id LIMIT 1"),
        {"ws": workspace_id},
    )
    row = rows.first()
    return None if row is None else (row.id, row.data)


async def outcomes_told(session: AsyncSession, workspace_id: UUID, row_id: int) -> None:
    await session.execute(
        text("DELETE FROM outbox WHERE workspace_id = :ws AND id = :id"),
        {"ws": workspace_id, "id": row_id},
    )


async def keep(session: AsyncSession, workspace_id: UUID, traces: Traces) -> None:
    """Count the edges and queue the outcomes."""
    await count_flows(session, workspace_id, traces.flows)
    await queue_outcomes(session, workspace_id, traces.outcomes)
