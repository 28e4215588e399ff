"""SQL of policies: the documents, and what caps have counted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self
from uuid import UUID

import msgspec
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.delivery.registry import IDEMPOTENT
from services.orchestrator.policies import judge
from services.orchestrator.policies.judge import Key, Uses
from services.orchestrator.policies.model import PoliciesDocument


@lru_cache(maxsize=1_000)
def _parsed(document: str) -> PoliciesDocument:
    return PoliciesDocument.model_validate_json(document)


async def current(session: AsyncSession, workspace_id: UUID) -> PoliciesDocument | None:
    """What holds now; None where nothing was ever written."""
    found = await session.scalar(
        text(
            "SELECT CAST(document AS text) FROM policy WHERE workspace_id = :ws "
            "ORDER BY version DESC LIMIT 1"
        ),
        {"ws": workspace_id},
    )
    return None if found is None else _parsed(found)


async def versions(session: AsyncSession, before: int | None, limit: int) -> Sequence[Row[Any]]:
    """The newest first, those below the version ``before``."""
    statement = text(
        "SELECT version, document, written_by, written_at FROM policy "
        "WHERE CAST(:before AS int) IS NULL OR version < :before ORDER BY version DESC LIMIT :limit"
    )
    return (await session.execute(statement, {"before": before, "limit": limit})).all()


async def write(
    session: AsyncSession, workspace_id: UUID, version: int, document: PoliciesDocument, by: str
) -> bool:
    """False when another version stands in this one's place."""
    written = await session.execute(
        text(
            """
            INSERT INTO policy (workspace_id, version, document, written_by)
            SELECT :ws, CAST(:version AS int) + 1, CAST(:document AS jsonb), :by
            WHERE CAST(:version AS int) = coalesce(
                (SELECT max(version) FROM policy WHERE workspace_id = :ws), 0)
            ON CONFLICT DO NOTHING RETURNING version
            """
        ),
        {
            "ws": workspace_id,
            "version": version,
            "document": document.model_dump_json(exclude_unset=True),
            "by": by,
        },
    )
    return written.first() is not None


async def lock_uses(
    session: AsyncSession, workspace_id: UUID, keys: Iterable[Key]
) -> dict[Key, Uses]:
    """What was counted under these keys, locked until the transaction ends."""
    # In one order everywhere: two senders that lock the same keys must not deadlock.
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    values = {
        "ws": workspace_id,
        "subjects": [subject for subject, _ in wanted],
        "caps": [cap for _, cap in wanted],
    }
    await session.execute(
        text(
            "INSERT INTO cap_use (workspace_id, subject, cap, uses) SELECT :ws, s, c, '{}' "
            "FROM unnest(CAST(:subjects AS text[]), CAST(:caps AS text[])) AS u (s, c) "
            "ON CONFLICT DO NOTHING"
        ),
        values,
    )
    # Look-ups in the order of the arrays, whatever statistics say.
    rows = await session.execute(
        text(
            """
            SELECT u.subject, u.cap, found.uses
            FROM unnest(CAST(:subjects AS text[]), CAST(:caps AS text[])) AS u (subject, cap)
            CROSS JOIN LATERAL (
                SELECT c.uses FROM cap_use c WHERE c.workspace_id = :ws
                    AND c.subject = u.subject AND c.cap = u.cap FOR UPDATE) AS found
            """
        ),
        values,
    )
    return {(row.subject, row.cap): dict(row.uses) for row in rows}


async def put_uses(session: AsyncSession, workspace_id: UUID, uses: Mapping[Key, Uses]) -> None:
    """Write back what was locked."""
    if not uses:
        return
    await session.execute(
        text(
            "UPDATE cap_use c SET uses = u.uses FROM unnest(CAST(:subjects AS text[]), "
            "CAST(:caps AS text[]), CAST(:uses AS jsonb[])) AS u (subject, cap, uses) "
            "WHERE c.workspace_id = :ws AND c.subject = u.subject AND c.cap = u.cap"
        ),
        {
            "ws": workspace_id,
            "subjects": [subject for subject, _ in uses],
            "caps": [cap for _, cap in uses],
            "uses": [msgspec.json.encode(each).decode() for each in uses.values()],
        },
    )


@dataclass(frozen=True, slots=True)
class Freed:
    """A message of the ledger that counts no longer."""

    id: UUID
    reserved: tuple[Key, ...]

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        # Only the last try of one with an idempotency key is known not to have gone out, and only
        # when it failed: what is skipped then may have been sent before.
        unsure = row.state == "skipped" and row.channel_type in IDEMPOTENT
        return cls(row.id, () if unsure else counted_in(row.reserved))


def name_of(key: Key) -> str:
    """As the ledger keeps it; no cap's name has a colon."""
    subject, cap = key
    return f"{cap}:{subject}"


def counted_in(names: Iterable[str]) -> tuple[Key, ...]:
    """Where a message is counted, of the ledger's names."""
    parts = (name.partition(":") for name in names)
    return tuple((subject, cap) for cap, _, subject in parts)


async def give_back(session: AsyncSession, workspace_id: UUID, rows: Iterable[Row[Any]]) -> None:
    """Messages of the ledger (``told``) that are known not to have been sent count no longer
    (semantics FC-1)."""
    freed = [Freed.of(row) for row in rows]
    uses = await lock_uses(session, workspace_id, (key for each in freed for key in each.reserved))
    changed = judge.give_back(freed, uses)
    await put_uses(session, workspace_id, {key: uses[key] for key in sorted(changed)})


async def merge(session: AsyncSession, workspace_id: UUID, heirs: Mapping[UUID, UUID]) -> None:
    """What the merged were sent counts for who they are now. After their messages have moved."""
    values = {
        "ws": workspace_id,
        "merged": [str(each) for each in heirs],
        "heirs": [str(each) for each in heirs.values()],
    }
    # In the order of `lock_uses`: senders must not deadlock with a merge.
    await session.execute(
        text(
            "SELECT 1 FROM cap_use WHERE workspace_id = :ws "
            "AND subject = ANY(CAST(:merged AS text[]) || CAST(:heirs AS text[])) "
            'ORDER BY subject COLLATE "C", cap COLLATE "C" FOR UPDATE'
        ),
        values,
    )
    await session.execute(
        text(
            """
            WITH lost AS (
                DELETE FROM cap_use c
                USING unnest(CAST(:merged AS text[]), CAST(:heirs AS text[])) AS u (merged, heir)
                WHERE c.workspace_id = :ws AND c.subject = u.merged
                RETURNING u.heir, c.cap, c.uses),
            summed AS (
                SELECT heir, cap, jsonb_object_agg(each.key, each.value) AS uses
                FROM lost CROSS JOIN LATERAL jsonb_each(lost.uses) AS each GROUP BY heir, cap)
            INSERT INTO cap_use AS c (workspace_id, subject, cap, uses)
            SELECT :ws, heir, cap, uses FROM summed
            ON CONFLICT (workspace_id, subject, cap) DO UPDATE SET uses = c.uses || excluded.uses
            """
        ),
        values,
    )
    await session.execute(
        text(
            """
            UPDATE message m SET reserved = ARRAY(
                SELECT CASE WHEN right(name, 36) = u.merged THEN left(name, -36) || u.heir
                    ELSE name END FROM unnest(m.reserved) AS name)
            FROM unnest(CAST(:merged AS text[]), CAST(:heirs AS text[])) AS u (merged, heir)
            WHERE m.workspace_id = :ws AND m.profile_id = CAST(u.heir AS uuid)
                AND m.state IN ('queued', 'claimed', 'handed_over', 'unknown')
                AND EXISTS (SELECT FROM unnest(m.reserved) AS name WHERE right(name, 36) = u.merged)
            """
        ),
        values,
    )
