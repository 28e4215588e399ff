"""SQL of what was said about traits: the history of values, and what was left out and why."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.arrays import plain, quoted, statement
from services.profile.stream.block import row_of

KEPT = 100
"""Lines of history per profile and trait; older ones go, now and then."""
_TRIM_EVERY = 16
"""One change in so many looks for old lines: to look costs more than to write one."""
MAX_REFUSALS = 10_000
"""Rows of refusals per workspace: names come from outside. Those seen last stay."""

_APPEND = statement("""
INSERT INTO trait_history
  (workspace_id, profile_id, key, seq, subject_id, value, said_at, source, priority, lost_to)
SELECT :workspace_id, profile_id, key, seq, subject_id, CAST(value AS jsonb),
       to_timestamp(at / 1000.0), source, priority, lost_to
FROM unnest(CAST(:profiles AS uuid[]), CAST(:keys AS text[]), CAST(:seqs AS bigint[]),
            CAST(:subjects AS uuid[]), CAST(:values AS text[]), CAST(:times AS bigint[]),
            CAST(:sources AS text[]), CAST(:priorities AS integer[]), CAST(:lost_to AS bigint[]))
  AS new(profile_id, key, seq, subject_id, value, at, source, priority, lost_to)
""")

# One look into the primary key per trait; most have a handful of lines.
_TRIM = statement("""
DELETE FROM trait_history h
USING (
  SELECT t.profile_id, t.key, (
    SELECT o.seq FROM trait_history o
    WHERE o.workspace_id = :workspace_id AND o.profile_id = t.profile_id AND o.key = t.key
    ORDER BY o.seq DESC OFFSET :kept LIMIT 1) AS last
  FROM unnest(CAST(:profiles AS uuid[]), CAST(:keys AS text[])) AS t(profile_id, key)
) old
WHERE h.workspace_id = :workspace_id AND h.profile_id = old.profile_id AND h.key = old.key
  AND h.seq <= old.last
""")

_READ = statement("""
SELECT seq, profile_id, subject_id, value::text AS value, said_at, source, priority, lost_to
FROM trait_history
WHERE workspace_id = :workspace_id AND key = :key AND seq < :before
  AND profile_id IN (
    SELECT CAST(:profile_id AS uuid)
    UNION ALL
    SELECT alias_id FROM alias WHERE workspace_id = :workspace_id AND profile_id = :profile_id)
ORDER BY seq DESC LIMIT :limit
""")

_REFUSE = statement("""
INSERT INTO trait_refusal
  (workspace_id, key, reason, source, count, last_profile_id, last_message_id, last_at)
SELECT :workspace_id, key, reason, source, count, profile_id, message_id,
       to_timestamp(at / 1000.0)
FROM unnest(CAST(:keys AS text[]), CAST(:reasons AS text[]), CAST(:sources AS text[]),
            CAST(:counts AS bigint[]), CAST(:profiles AS uuid[]), CAST(:message_ids AS text[]),
            CAST(:times AS bigint[]))
  AS new(key, reason, source, count, profile_id, message_id, at)
ON CONFLICT (workspace_id, key, reason, source) DO UPDATE SET
  count = trait_refusal.count + excluded.count, last_profile_id = excluded.last_profile_id,
  last_message_id = excluded.last_message_id, last_at = excluded.last_at
""")

_FORGET_REFUSALS = statement("""
DELETE FROM trait_refusal r USING (
  SELECT key, reason, source FROM trait_refusal WHERE workspace_id = :workspace_id
  ORDER BY last_at DESC, key, reason, source OFFSET :kept
) old
WHERE r.workspace_id = :workspace_id AND r.key = old.key AND r.reason = old.reason
  AND r.source = old.source
""")

_REFUSED = statement("""
SELECT key, reason, source, count, last_profile_id, last_message_id, last_at
FROM trait_refusal
WHERE workspace_id = :workspace_id AND (key, reason, source) > (:key, :reason, :source)
  AND (CAST(:only AS text) IS NULL OR key = :only)
ORDER BY key, reason, source LIMIT :limit
""")


class Line(NamedTuple):
    """Something new was said about a trait. ``value`` None: a deletion. ``at`` in ms.

    ``lost_to``: the place of the statement that stood against it, None where it counted.
    """

    profile_id: str
    subject_id: str
    key: str
    value: Any
    at: int
    source: str
    priority: int
    seq: int
    lost_to: int | None


class Refused(NamedTuple):
    """A statement that was left out."""

    key: str
    reason: str
    source: str
    profile_id: str
    message_id: str
    at: int


@dataclass(frozen=True, slots=True)
class Refusals:
    key: str
    reason: str
    source: str
    count: int
    last_profile_id: UUID
    last_message_id: str
    last_at: datetime


async def append(
    session: AsyncSession, workspace_id: UUID, lines: Sequence[Line], existing: Collection[str]
) -> None:
    """Add lines, and remove the oldest of some of the traits they are about. A profile that is not
    in ``existing`` has no history yet."""
    if not lines:
        return
    encode = msgspec.json.encode
    await session.execute(
        _APPEND,
        {
            "workspace_id": workspace_id,
            "profiles": plain(line.profile_id for line in lines),
            "keys": quoted(line.key for line in lines),
            "seqs": plain(line.seq for line in lines),
            "subjects": plain(line.subject_id for line in lines),
            "values": quoted(
                None if line.value is None else encode(line.value).decode() for line in lines
            ),
            "times": plain(line.at for line in lines),
            "sources": quoted(line.source for line in lines),
            "priorities": plain(line.priority for line in lines),
            "lost_to": plain(line.lost_to for line in lines),
        },
    )
    old = {(x.profile_id, x.key) for x in lines if x.profile_id in existing and _looks(x.seq)}
    if old:
        profiles, keys = zip(*old, strict=True)
        parameters = {"workspace_id": workspace_id, "kept": KEPT}
        parameters |= {"profiles": plain(profiles), "keys": quoted(keys)}
        await session.execute(_TRIM, parameters)


def _looks(seq: int) -> bool:
    # Rows of the log hold one event or thousands: their offset counts as well as the place inside.
    return (row_of(seq) + seq) % _TRIM_EVERY == 0


async def history(
    session: AsyncSession, workspace_id: UUID, profile_id: UUID, key: str, before: int, limit: int
) -> list[Line]:
    """Lines of a profile and of those merged into it before a place in the log, latest first."""
    parameters = {"workspace_id": workspace_id, "profile_id": profile_id, "key": key}
    found = await session.execute(_READ, {**parameters, "before": before, "limit": limit})
    return [
        Line(
            str(r.profile_id),
            str(r.subject_id),
            key,
            None if r.value is None else msgspec.json.decode(r.value),
            round(r.said_at.timestamp() * 1000),
            r.source,
            r.priority,
            r.seq,
            r.lost_to,
        )
        for r in found
    ]


async def refuse(session: AsyncSession, workspace_id: UUID, refused: Sequence[Refused]) -> None:
    if not refused:
        return
    last = {(r.key, r.reason, r.source): r for r in refused}
    counts = dict.fromkeys(last, 0)
    for r in refused:
        counts[r.key, r.reason, r.source] += 1
    await session.execute(
        _REFUSE,
        {
            "workspace_id": workspace_id,
            "keys": quoted(r.key for r in last.values()),
            "reasons": quoted(r.reason for r in last.values()),
            "sources": quoted(r.source for r in last.values()),
            "counts": plain(counts.values()),
            "profiles": plain(r.profile_id for r in last.values()),
            "message_ids": quoted(r.message_id for r in last.values()),
            "times": plain(r.at for r in last.values()),
        },
    )
    parameters = {"workspace_id": workspace_id, "kept": MAX_REFUSALS}
    await session.execute(_FORGET_REFUSALS, parameters)


async def refusals(
    session: AsyncSession,
    workspace_id: UUID,
    after: tuple[str, str, str],
    limit: int,
    only: str | None,
) -> list[Refusals]:
    """By trait, reason and source; ``only``: of this trait."""
    key, reason, source = after
    parameters = {"workspace_id": workspace_id, "limit": limit, "only": only}
    parameters |= {"key": key, "reason": reason, "source": source}
    return [Refusals(*row) for row in await session.execute(_REFUSED, parameters)]
