"""Effects that other services carry out: queued with the step, told in order, each once.

Kinds: ``call`` (``call``: a track or identify call for tracking's log; ``refused``: the outcome to
tell should it be refused), ``list`` (``segment_id``, ``action``: a list of profile's) and
``unsubscribe`` (``token``: of a mail's link). All may be told again after a crash: calls carry a
message id, lists hold a person once, and who has unsubscribed stays so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

Kind = Literal["call", "list", "unsubscribe"]


@dataclass(frozen=True, slots=True)
class Queued:
    id: int
    profile_id: UUID
    kind: Kind
    data: dict[str, Any]


NewEffect = tuple[UUID, Kind, dict[str, Any]]
"""Profile, kind, data."""


async def queue(session: AsyncSession, workspace_id: UUID, effects: Sequence[NewEffect]) -> None:
    if not effects:
        return
    await session.execute(
        text(
            "INSERT INTO effect (workspace_id, profile_id, kind, data) SELECT :ws, * FROM unnest("
            "CAST(:profiles AS uuid[]), CAST(:kinds AS text[]), CAST(:data AS jsonb[]))"
        ),
        {
            "ws": workspace_id,
            "profiles": [profile_id for profile_id, _, _ in effects],
            "kinds": [kind for _, kind, _ in effects],
            "data": [msgspec.json.encode(data).decode() for _, _, data in effects],
        },
    )


async def first(session: AsyncSession, workspace_id: UUID, limit: int) -> list[Queued]:
    """The oldest of one kind, up to where the next is of another."""
    rows = await session.execute(
        text(
            "SELECT id, profile_id, kind, data FROM effect WHERE workspace_id = :ws "
            "ORDER BY id LIMIT :limit"
        ),
        {"ws": workspace_id, "limit": limit},
    )
    found = [Queued(row.id, row.profile_id, row.kind, row.data) for row in rows]
    alike = next((n for n, each in enumerate(found) if each.kind != found[0].kind), len(found))
    return found[:alike]


async def told(session: AsyncSession, workspace_id: UUID, effects: Sequence[Queued]) -> None:
    await session.execute(
        text("DELETE FROM effect WHERE workspace_id = :ws AND id = ANY(CAST(:ids AS bigint[]))"),
        {"ws": workspace_id, "ids": [each.id for each in effects]},
    )
