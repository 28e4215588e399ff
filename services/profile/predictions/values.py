"""Puts values into ``profile.computed`` and tells rules and the feed of what changed."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
import pyarrow as pa
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.profile.arrays import plain, quoted, statement
from services.profile.feed import store as feed
from services.profile.identity import store as identity
from services.profile.rules import service as rules
from services.profile.rules.service import News, RuleCache
from services.profile.stream import store as stream

AS_OF = "as_of"
PAGE = 5_000

Values = Mapping[str, Mapping[str, Any]]
"""By profile id and name; None takes a name away."""

_LOAD = statement("""
SELECT p.profile_id::text AS profile_id, p.computed::text AS computed
FROM unnest(CAST(:ids AS uuid[])) AS asked(profile_id)
JOIN profile p ON p.workspace_id = :workspace_id AND p.profile_id = asked.profile_id
""")

_PUT = statement("""
UPDATE profile p SET computed = (p.computed || CAST(new.said AS jsonb)) - CAST(new.gone AS text[])
FROM unnest(CAST(:ids AS uuid[]), CAST(:said AS text[]), CAST(:gone AS text[]))
  AS new(profile_id, said, gone)
WHERE p.workspace_id = :workspace_id AND p.profile_id = new.profile_id
""")

_STALE = statement("""
SELECT profile_id::text AS profile_id, computed::text AS computed FROM profile
WHERE workspace_id = :workspace_id AND profile_id > :after AND computed ? :name
  AND computed ->> :as_of_name IS DISTINCT FROM :as_of
ORDER BY profile_id LIMIT :limit
""")


async def put(session: AsyncSession, workspace_id: UUID, values: Values) -> dict[str, list[str]]:
    """Add values to what is computed of profiles; by profile, the names whose value changed.

    To be called under the workspace's lock.
    """
    parameters: dict[str, object] = {"workspace_id": workspace_id, "ids": plain(values)}
    held = {
        profile_id: msgspec.json.decode(computed)
        for profile_id, computed in (await session.execute(_LOAD, parameters)).all()
    }
    changed = {
        profile_id: [name for name, value in said.items() if held[profile_id].get(name) != value]
        for profile_id, said in values.items()
        if profile_id in held
    }
    written = {
        profile_id: {name: values[profile_id][name] for name in names}
        for profile_id, names in changed.items()
        if names
    }
    if written:
        said = [_without(each, None) for each in written.values()]
        gone = [[n for n, value in each.items() if value is None] for each in written.values()]
        parameters |= {
            "ids": plain(written),
            "said": quoted(msgspec.json.encode(each).decode() for each in said),
            "gone": quoted(quoted(names) for names in gone),
        }
        await session.execute(_PUT, parameters)
    return {profile_id: names for profile_id, names in changed.items() if names}


async def write(
    session: AsyncSession, workspace_id: UUID, values: Values, now_ms: int, cache: RuleCache
) -> None:
    """``put``, then ask the rules that read what changed and append it to the feed."""
    place = await stream.lock(session, workspace_id)
    living = await identity.canonical(session, workspace_id, list(values))
    # Tracking's map of identities may be behind ours: what it says of a merged id is half of it.
    changed = await put(
        session, workspace_id, {p: v for p, v in values.items() if living.get(p) == p}
    )
    known = await cache.get(session, workspace_id, place.rules_revision)
    news = News()
    told = []
    for profile_id, names in changed.items():
        for name in names:
            news.touched.read(known, ("computed", name), profile_id)
            # That a value is now of a later time is no news while it stays the same.
            if not name.endswith(f".{AS_OF}"):
                data = {"name": name, "value": values[profile_id][name]}
                told.append(Change("trait.computed", profile_id, now_ms, data))
    settled = await rules.settle(session, workspace_id, known, news, now_ms)
    if told or settled.changes:
        await feed.append(session, workspace_id, [*told, *settled.changes])


def of_results(name: str, results: pa.Table, as_of: str) -> Values:
    """Columns of a computation by the names they have on profiles: ``name`` and ``name.<part>``."""
    columns = {
        name if column == "value" else f"{name}.{column}": results.column(column).to_pylist()
        for column in results.column_names
        if column != "profile_id"
    }
    found: dict[str, dict[str, Any]] = {}
    for index, profile_id in enumerate(results.column("profile_id").to_pylist()):
        said = {key: values[index] for key, values in columns.items()}
        said[f"{name}.{AS_OF}"] = as_of
        found[profile_id] = said if said[name] is not None else dict.fromkeys(said)
    return found


async def stale(
    session: AsyncSession, workspace_id: UUID, name: str, as_of: str, after: UUID
) -> dict[str, dict[str, None]]:
    """Profiles that hold values of ``name`` as of another time, and the names to take away."""
    found = await session.execute(
        _STALE,
        {
            "workspace_id": workspace_id,
            "after": after,
            "name": name,
            "as_of_name": f"{name}.{AS_OF}",
            "as_of": as_of,
            "limit": PAGE,
        },
    )
    return {
        profile_id: {
            key: None
            for key in msgspec.json.decode(computed)
            if key == name or key.startswith(f"{name}.")
        }
        for profile_id, computed in found.all()
    }


async def of_profile(session: AsyncSession, workspace_id: UUID, profile_id: str) -> dict[str, Any]:
    """Everything that is computed of a profile, by name."""
    parameters = {"workspace_id": workspace_id, "ids": plain([profile_id])}
    found = (await session.execute(_LOAD, parameters)).one()
    computed: dict[str, Any] = msgspec.json.decode(found.computed)
    return computed


def parts(computed: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What belongs to the value of this name."""
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in computed.items() if k.startswith(prefix)}


def _without(said: Mapping[str, Any], value: object) -> dict[str, Any]:
    return {name: each for name, each in said.items() if each is not value}
