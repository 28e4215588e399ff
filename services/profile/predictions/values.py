"""Puts values into ``profile.computed`` and tells rules and the feed of what changed."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
import pyarrow as pa
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.arrays import statement
from services.profile.computed import service as computed
from services.profile.computed import states
from services.profile.computed.service import Values
from services.profile.feed import store as feed
from services.profile.rules.service import News, RuleCache
from services.profile.rules.settle import settle
from services.profile.stream import store as stream

AS_OF = "as_of"
PAGE = 5_000

_STALE = statement("""
SELECT profile_id::text AS profile_id, computed::text AS computed FROM profile
WHERE workspace_id = :workspace_id AND profile_id > :after AND computed ? :name
  AND computed ->> :as_of_name IS DISTINCT FROM :as_of
ORDER BY profile_id LIMIT :limit
""")


async def write(
    session: AsyncSession, workspace_id: UUID, values: Values, now_ms: int, cache: RuleCache
) -> None:
    """Write values, ask the rules that read what changed and tell the feed. Who was merged away
    since is left out: tracking's map of identities may be behind ours, and says half of them."""
    place = await stream.lock(session, workspace_id)
    known = await cache.get(session, workspace_id, place.rules_revision)
    news = News()
    told = await computed.publish(session, workspace_id, known, news, values, now_ms)
    # That a value is now of a later time is no news while it stays the same.
    told = [change for change in told if not change.data["name"].endswith(f".{AS_OF}")]
    settled = await settle(session, workspace_id, known, news, now_ms)
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
    """Everything that is computed of a living profile, by name."""
    return (await states.values(session, workspace_id, [profile_id]))[profile_id]


def parts(computed: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What belongs to the value of this name."""
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in computed.items() if k.startswith(prefix)}
