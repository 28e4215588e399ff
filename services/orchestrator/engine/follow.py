"""What one block of profile's change feed does to journeys: entries, wake-ups, merges, gates."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.kit.feeds import FeedRow
from services.orchestrator.engine import entries, merges, position_store
from services.orchestrator.engine.library import Library
from services.orchestrator.engine.wake import wake
from services.orchestrator.journeys.compiled import Happening
from services.orchestrator.messages import gate_store


class FeedMoved(Exception):
    """Another process applied this block; nothing of ours was kept."""


def decode(rows: Iterable[FeedRow]) -> list[Change]:
    """The changes of a page."""
    return [change for row in rows for change in row.entries(Change)]


async def apply(
    session: AsyncSession,
    workspace_id: UUID,
    before: int,
    end: int,
    changes: Sequence[Change],
    library: Library,
    now: int,
) -> bool:
    """Apply a page as one set, in the caller's transaction, together with its offset ``end``.

    True when participants may have become due. Raises ``FeedMoved``.
    """
    if not await position_store.move_position(session, workspace_id, before, end):
        raise FeedMoved
    due = [
        await _apply(session, workspace_id, part, library, now) for part in merges.parts(changes)
    ]
    return any(due)


async def _apply(
    session: AsyncSession,
    workspace_id: UUID,
    changes: Sequence[Change],
    library: Library,
    now: int,
) -> bool:
    await merges.unmerge(session, workspace_id, changes, now)
    await merges.merge(session, workspace_id, changes, library, now)
    await gate_store.apply(session, workspace_id, changes)
    running, awaited = await library.running(session)
    names = set(awaited).union(*(each.compiled.event_names for each in running))
    events = _happenings(changes, names, merges.heirs(changes))
    entrants = await entries.by_event(session, workspace_id, running, events, now)
    entrants += entries.by_segment(running, changes, merges.heirs(changes), now)
    entered = await entries.admit(session, workspace_id, entrants, now)
    woken = await wake(session, workspace_id, library, events, awaited, now)
    return entered or woken


def _happenings(
    changes: Iterable[Change], names: set[str], heirs: dict[UUID, UUID]
) -> list[Happening]:
    """The events of these names, on the profiles that are canonical after this block."""
    found = []
    for change in changes:
        if change.type == "event" and change.data["event"] in names:
            profile_id = UUID(change.profile_id)
            found.append(
                Happening(
                    heirs.get(profile_id, profile_id),
                    change.data["event"],
                    change.data["message_id"],
                    change.at,
                    _object(change.data.get("properties")),
                    _object(change.data.get("context")),
                )
            )
    return found


def _object(text: Any) -> dict[str, Any]:
    value = msgspec.json.decode(text) if text else {}
    return value if isinstance(value, dict) else {}
