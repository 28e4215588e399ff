"""SQL of aggregate states, counted live and from the past, and of the values in profiles."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.arrays import plain, quoted, statement
from services.rules.aggregates import Aggregate, State, from_json, merge, to_json

Key = tuple[str, str]
"""(profile id, aggregate id)."""

_ASKED = """unnest(CAST(:ids AS uuid[]), CAST(:aggregate_ids AS text[]))
  AS asked(profile_id, aggregate_id)"""
_IS_ASKED = """s.workspace_id = :workspace_id AND s.aggregate_id = asked.aggregate_id
  AND s.profile_id = asked.profile_id"""

_LOAD = statement(f"""
SELECT s.profile_id::text AS profile_id, s.aggregate_id, s.state, s.next_change_at
FROM {_ASKED} JOIN computed_state s ON {_IS_ASKED}
""")  # noqa: S608 - put together from the texts above

_LOAD_PAST = statement(f"""
SELECT s.profile_id::text AS profile_id, s.aggregate_id, s.state
FROM {_ASKED} JOIN computed_past s ON {_IS_ASKED}
""")  # noqa: S608

_TAKE = statement(f"""
DELETE FROM computed_state s USING {_ASKED} WHERE {_IS_ASKED}
RETURNING s.profile_id::text AS profile_id, s.aggregate_id, s.state
""")  # noqa: S608

_TAKE_PAST = statement(f"""
DELETE FROM computed_past s USING {_ASKED} WHERE {_IS_ASKED}
RETURNING s.profile_id::text AS profile_id, s.aggregate_id, s.state
""")  # noqa: S608

_SAVE = statement("""
INSERT INTO computed_state (workspace_id, aggregate_id, profile_id, state, next_change_at)
SELECT :workspace_id, aggregate_id, profile_id, state, next_change_at
FROM unnest(CAST(:ids AS uuid[]), CAST(:aggregate_ids AS text[]), CAST(:states AS text[]),
            CAST(:due AS bigint[])) AS new(profile_id, aggregate_id, state, next_change_at)
ON CONFLICT (workspace_id, aggregate_id, profile_id)
DO UPDATE SET state = excluded.state, next_change_at = excluded.next_change_at
""")

_SAVE_PAST = statement("""
INSERT INTO computed_past (workspace_id, aggregate_id, profile_id, state)
SELECT :workspace_id, aggregate_id, profile_id, state
FROM unnest(CAST(:ids AS uuid[]), CAST(:aggregate_ids AS text[]), CAST(:states AS text[]))
  AS new(profile_id, aggregate_id, state)
ON CONFLICT (workspace_id, aggregate_id, profile_id) DO UPDATE SET state = excluded.state
""")

_DUE = statement("""
SELECT profile_id::text AS profile_id, aggregate_id FROM computed_state
WHERE workspace_id = :workspace_id AND next_change_at <= :now_ms
ORDER BY next_change_at, aggregate_id, profile_id LIMIT :limit
""")

_NEXT_DUE = statement("""
SELECT min(next_change_at) FROM computed_state
WHERE workspace_id = :workspace_id AND next_change_at IS NOT NULL
""")

_VALUES = statement("""
SELECT p.profile_id::text AS profile_id, p.computed::text AS computed
FROM unnest(CAST(:ids AS uuid[])) AS asked(profile_id)
JOIN profile p ON p.workspace_id = :workspace_id AND p.profile_id = asked.profile_id
""")

_PUT_VALUES = statement("""
UPDATE profile p
SET computed = (p.computed - CAST(new.gone AS text[])) || CAST(new.computed AS jsonb)
FROM unnest(CAST(:ids AS uuid[]), CAST(:computed AS text[]), CAST(:gone AS text[]))
  AS new(profile_id, computed, gone)
WHERE p.workspace_id = :workspace_id AND p.profile_id = new.profile_id
""")


@dataclass(slots=True)
class Held:
    """A state and the ms at which time alone may next change what is read from it."""

    state: State
    due: int | None


async def load(
    session: AsyncSession,
    workspace_id: UUID,
    keys: Collection[Key],
    aggregates: Mapping[str, Aggregate],
) -> dict[Key, Held]:
    if not keys:
        return {}
    found = (await session.execute(_LOAD, _keys(workspace_id, keys))).all()
    return {
        (profile_id, aggregate_id): Held(from_json(state, aggregates[aggregate_id]), due)
        for profile_id, aggregate_id, state, due in found
    }


async def save(
    session: AsyncSession,
    workspace_id: UUID,
    states: Mapping[Key, Held],
    aggregates: Mapping[str, Aggregate],
) -> None:
    if not states:
        return
    texts = (to_json(held.state, aggregates[key[1]]) for key, held in states.items())
    await session.execute(
        _SAVE,
        _keys(workspace_id, states)
        | {"states": quoted(texts), "due": plain(held.due for held in states.values())},
    )


async def take(
    session: AsyncSession,
    workspace_id: UUID,
    keys: Collection[Key],
    aggregates: Mapping[str, Aggregate],
    *,
    past: bool = False,
) -> dict[Key, State]:
    """The states under ``keys``, those of the past if asked for; their rows go."""
    if not keys:
        return {}
    found = await session.execute(_TAKE_PAST if past else _TAKE, _keys(workspace_id, keys))
    return _states(found.all(), aggregates)


async def add_past(
    session: AsyncSession,
    workspace_id: UUID,
    rows: Iterable[tuple[Key, State]],
    aggregates: Mapping[str, Aggregate],
) -> None:
    """Add states of further past events to what is known of the past."""
    added = list(rows)
    if not added:
        return
    keys = dict.fromkeys(key for key, _ in added)
    found = await session.execute(_LOAD_PAST, _keys(workspace_id, keys))
    states = _states(found.all(), aggregates)
    for key, state in added:
        states[key] = merge(states.get(key, ()), state, aggregates[key[1]])
    texts = (to_json(state, aggregates[key[1]]) for key, state in states.items())
    await session.execute(_SAVE_PAST, _keys(workspace_id, states) | {"states": quoted(texts)})


async def due(session: AsyncSession, workspace_id: UUID, now_ms: int, limit: int) -> list[Key]:
    """States whose time has come, the longest overdue first."""
    parameters = {"workspace_id": workspace_id, "now_ms": now_ms, "limit": limit}
    return [(r.profile_id, r.aggregate_id) for r in await session.execute(_DUE, parameters)]


async def next_due(session: AsyncSession, workspace_id: UUID) -> int | None:
    found: int | None = (
        await session.execute(_NEXT_DUE, {"workspace_id": workspace_id})
    ).scalar_one()
    return found


async def values(
    session: AsyncSession, workspace_id: UUID, profile_ids: Collection[str]
) -> dict[str, dict[str, Any]]:
    """``computed`` of the living profiles among these, as it is stored."""
    if not profile_ids:
        return {}
    parameters = {"workspace_id": workspace_id, "ids": plain(profile_ids)}
    found = (await session.execute(_VALUES, parameters)).all()
    return {profile_id: msgspec.json.decode(computed) for profile_id, computed in found}


async def put_values(
    session: AsyncSession, workspace_id: UUID, changed: Mapping[str, Mapping[str, Any]]
) -> None:
    """Write values by profile and name; None takes one away."""
    if not changed:
        return
    encode = msgspec.json.encode
    kept = ({k: v for k, v in each.items() if v is not None} for each in changed.values())
    gone = ([k for k, v in each.items() if v is None] for each in changed.values())
    await session.execute(
        _PUT_VALUES,
        {
            "workspace_id": workspace_id,
            "ids": plain(changed),
            "computed": quoted(encode(each).decode() for each in kept),
            "gone": quoted(quoted(names) for names in gone),
        },
    )


def _keys(workspace_id: UUID, keys: Iterable[Key]) -> dict[str, object]:
    pairs = list(keys)
    return {
        "workspace_id": workspace_id,
        "ids": plain(profile_id for profile_id, _ in pairs),
        "aggregate_ids": plain(aggregate_id for _, aggregate_id in pairs),
    }


def _states(rows: Iterable[Any], aggregates: Mapping[str, Aggregate]) -> dict[Key, State]:
    return {
        (profile_id, aggregate_id): from_json(state, aggregates[aggregate_id])
        for profile_id, aggregate_id, state in rows
    }
