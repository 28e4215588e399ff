"""SQL of leaf states: read for a set of people, written back at once."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.arrays import plain, quoted, statement
from services.rules import LeafState

Key = tuple[str, str]
"""(profile id, leaf id)."""

_LOAD = statement("""
SELECT s.profile_id::text AS profile_id, s.leaf_id, s.total, s.first, s.last, s.recent,
       s.bucket_index, s.bucket_count, s.next_change_at
FROM unnest(CAST(:ids AS uuid[])) AS asked(profile_id)
JOIN leaf_state s ON s.workspace_id = :workspace_id AND s.profile_id = asked.profile_id
WHERE s.leaf_id = ANY(CAST(:leaf_ids AS text[]))
""")

# OFFSET 0 has every key looked up in the index: right after a backfill the planner knows little of
# the table, and would read all of it for each page of people.
_LOAD_KEYS = statement("""
SELECT s.profile_id::text AS profile_id, s.leaf_id, s.total, s.first, s.last, s.recent,
       s.bucket_index, s.bucket_count, s.next_change_at
FROM unnest(CAST(:ids AS uuid[]), CAST(:leaf_ids AS text[])) AS asked(profile_id, leaf_id)
CROSS JOIN LATERAL (
  SELECT * FROM leaf_state
  WHERE workspace_id = :workspace_id AND profile_id = asked.profile_id
    AND leaf_id = asked.leaf_id
  OFFSET 0
) s
""")

_LOAD_ALL = statement("""
SELECT s.profile_id::text AS profile_id, s.leaf_id, s.total, s.first, s.last, s.recent,
       s.bucket_index, s.bucket_count, s.next_change_at
FROM unnest(CAST(:ids AS uuid[])) AS asked(profile_id)
JOIN leaf_state s ON s.workspace_id = :workspace_id AND s.profile_id = asked.profile_id
""")

_SAVE = statement("""
INSERT INTO leaf_state (workspace_id, profile_id, leaf_id, total, first, last, recent,
                        bucket_index, bucket_count, next_change_at)
SELECT :workspace_id, profile_id, leaf_id, total, first, last, CAST(recent AS bigint[]),
       CAST(bucket_index AS bigint[]), CAST(bucket_count AS bigint[]), next_change_at
FROM unnest(CAST(:ids AS uuid[]), CAST(:leaf_ids AS text[]), CAST(:totals AS bigint[]),
            CAST(:first AS bigint[]), CAST(:last AS bigint[]), CAST(:recent AS text[]),
            CAST(:indexes AS text[]), CAST(:counts AS text[]), CAST(:due AS bigint[]))
  AS new(profile_id, leaf_id, total, first, last, recent, bucket_index, bucket_count,
         next_change_at)
ON CONFLICT (workspace_id, profile_id, leaf_id) DO UPDATE SET
  total = excluded.total, first = excluded.first, last = excluded.last,
  recent = excluded.recent, bucket_index = excluded.bucket_index,
  bucket_count = excluded.bucket_count, next_change_at = excluded.next_change_at
""")

# Of people who live under the very id, as nearly all do: the others are looked for one by one.
_ADD = statement("""
WITH added AS (
  INSERT INTO leaf_state (workspace_id, profile_id, leaf_id, total, first, last, recent,
                          bucket_index, bucket_count)
  SELECT :workspace_id, p.profile_id, new.leaf_id, new.total, new.first, new.last,
         CAST(new.recent AS bigint[]), CAST(new.bucket_index AS bigint[]),
         CAST(new.bucket_count AS bigint[])
  FROM unnest(CAST(:ids AS uuid[]), CAST(:leaf_ids AS text[]), CAST(:totals AS bigint[]),
              CAST(:first AS bigint[]), CAST(:last AS bigint[]), CAST(:recent AS text[]),
              CAST(:indexes AS text[]), CAST(:counts AS text[]))
    AS new(profile_id, leaf_id, total, first, last, recent, bucket_index, bucket_count)
  JOIN profile p ON p.workspace_id = :workspace_id AND p.profile_id = new.profile_id
  ON CONFLICT DO NOTHING
  RETURNING profile_id, leaf_id
)
SELECT count(*), CASE WHEN count(*) < :count THEN array_agg(profile_id || ' ' || leaf_id) END
FROM added
""")

_DELETE = statement("""
DELETE FROM leaf_state s USING unnest(CAST(:ids AS uuid[])) AS asked(profile_id)
WHERE s.workspace_id = :workspace_id AND s.profile_id = asked.profile_id
""")

_DUE = statement("""
SELECT profile_id::text AS profile_id, leaf_id FROM leaf_state
WHERE workspace_id = :workspace_id AND next_change_at <= :now_ms
ORDER BY next_change_at LIMIT :limit
""")

_NEXT_DUE = statement("""
SELECT least(
  (SELECT min(next_change_at) FROM leaf_state
   WHERE workspace_id = :workspace_id AND next_change_at IS NOT NULL),
  (SELECT min(next_change_at) FROM membership
   WHERE workspace_id = :workspace_id AND next_change_at IS NOT NULL),
  (SELECT CAST(ceil(extract(epoch FROM min(stalls_at)) * 1000) AS bigint) FROM stage
   WHERE workspace_id = :workspace_id AND stalls_at IS NOT NULL))
""")


@dataclass(slots=True)
class Held:
    """A state and the ms at which time alone may next change what is read from it."""

    state: LeafState
    due: int | None


async def load(
    session: AsyncSession,
    workspace_id: UUID,
    profile_ids: Collection[str],
    leaf_ids: Collection[str],
) -> dict[Key, Held]:
    if not profile_ids or not leaf_ids:
        return {}
    found = await session.execute(
        _LOAD,
        {"workspace_id": workspace_id, "ids": plain(profile_ids), "leaf_ids": plain(leaf_ids)},
    )
    return dict(map(_held, found.all()))


async def read(session: AsyncSession, workspace_id: UUID, keys: Collection[Key]) -> Sequence[Any]:
    """The rows of those of the states that there are, for ``held``."""
    if not keys:
        return ()
    found = await session.execute(
        _LOAD_KEYS,
        {
            "workspace_id": workspace_id,
            "ids": plain([profile_id for profile_id, _ in keys]),
            "leaf_ids": plain([leaf_id for _, leaf_id in keys]),
        },
    )
    return found.all()


def held(rows: Iterable[Any]) -> dict[Key, Held]:
    """Rows as states; apart from ``read`` so that a thread can do it."""
    return dict(map(_held, rows))


async def take(
    session: AsyncSession, workspace_id: UUID, profile_ids: Collection[str]
) -> dict[Key, Held]:
    """All states of profiles that are merged away; their rows go."""
    parameters = {"workspace_id": workspace_id, "ids": plain(profile_ids)}
    found = dict(map(_held, (await session.execute(_LOAD_ALL, parameters)).all()))
    await session.execute(_DELETE, parameters)
    return found


async def save(session: AsyncSession, workspace_id: UUID, states: Mapping[Key, Held]) -> None:
    await write(session, columns(workspace_id, states))


def columns(workspace_id: UUID, states: Mapping[Key, Held]) -> dict[str, object]:
    """What ``write`` takes; apart from it so that a thread can make it."""
    if not states:
        return {}
    held = [(h.state, h.due) for h in states.values()]
    return {
        "workspace_id": workspace_id,
        "ids": plain([profile_id for profile_id, _ in states]),
        "leaf_ids": plain([leaf_id for _, leaf_id in states]),
        "totals": plain([state.total for state, _ in held]),
        "first": plain([state.first for state, _ in held]),
        "last": plain([state.last for state, _ in held]),
        "recent": _lists([state.recent for state, _ in held]),
        "indexes": _lists([[i for i, _ in state.buckets] for state, _ in held]),
        "counts": _lists([[n for _, n in state.buckets] for state, _ in held]),
        "due": plain([due for _, due in held]),
    }


async def add(
    session: AsyncSession, workspace_id: UUID, columns: Mapping[str, object], count: int
) -> set[Key] | None:
    """Write ``count`` new states, columns as of ``past.columns``, where none is held yet and the
    profile lives. Those that were written, None for all."""
    parameters = {**columns, "workspace_id": workspace_id, "count": count}
    written, added = (await session.execute(_ADD, parameters)).one()
    if written == count:
        return None
    return {(each[:36], each[37:]) for each in added or ()}


async def write(session: AsyncSession, columns: dict[str, object]) -> None:
    if columns:
        await session.execute(_SAVE, columns)


def _lists(values: list[Any]) -> str:
    """Arrays of numbers as an array of their texts."""
    return quoted([plain(value) if value else "{}" for value in values])


async def due(session: AsyncSession, workspace_id: UUID, now_ms: int, limit: int) -> list[Key]:
    """States whose time has come, the longest overdue first."""
    parameters = {"workspace_id": workspace_id, "now_ms": now_ms, "limit": limit}
    return [(r.profile_id, r.leaf_id) for r in await session.execute(_DUE, parameters)]


async def next_due(session: AsyncSession, workspace_id: UUID) -> int | None:
    """The next ms at which time alone may change a rule, by counts or by how long it has held."""
    found: int | None = (
        await session.execute(_NEXT_DUE, {"workspace_id": workspace_id})
    ).scalar_one()
    return found


def _held(row: Any) -> tuple[Key, Held]:
    # Unpacked and not read by name: this runs for tens of thousands of rows.
    profile_id, leaf_id, total, first, last, recent, indexes, counts, next_change_at = row
    buckets = tuple(zip(indexes, counts, strict=True)) if indexes else ()
    state = LeafState(total, first, last, tuple(recent), buckets)
    return (profile_id, leaf_id), Held(state, next_change_at)
