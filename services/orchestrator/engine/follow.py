"""What one block of profile's change feed does to journeys: entries, wake-ups, merges, gates."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.kit.feeds import FeedRow
from services.orchestrator.engine import entries, merges, position_store
from services.orchestrator.engine.audience import Audience
from services.orchestrator.engine.library import Heard, Library, Running
from services.orchestrator.engine.wake import held, wake
from services.orchestrator.journeys.compiled import Happening
from services.orchestrator.messages import gate_store


class FeedMoved(Exception):
    """Another process applied this block; nothing of ours was kept."""


def decode(rows: Iterable[FeedRow]) -> list[Change]:
    """The changes of a page."""
    return [change for row in rows for change in row.entries(Change)]


@dataclass(frozen=True, slots=True)
class Listening:
    """What was running when a page was read, and for whom its audiences hold."""

    running: Sequence[Running]
    heard: Heard
    audience: Audience


async def apply(
    session: AsyncSession,
    workspace_id: UUID,
    before: int,
    end: int,
    changes: Sequence[Change],
    library: Library,
    listening: Listening,
    now: int,
) -> bool:
    """Apply a page as one set, in the caller's transaction, together with its offset ``end``.

    True when participants may have become due. Raises ``FeedMoved``.
    """
    if not await position_store.move_position(session, workspace_id, before, end):
        raise FeedMoved
    due = [
        await _apply(session, workspace_id, part, library, listening, now)
        for part in merges.parts(changes)
    ]
    return any(due)


async def _apply(
    session: AsyncSession,
    workspace_id: UUID,
    changes: Sequence[Change],
    library: Library,
    listening: Listening,
    now: int,
) -> bool:
    await merges.unmerge(session, workspace_id, changes, now)
    await merges.merge(session, workspace_id, changes, library, now)
    await gate_store.apply(session, workspace_id, changes)
    running, heirs = listening.running, merges.heirs(changes)
    names = set(listening.heard.events).union(*(each.compiled.event_names for each in running))
    events = _happenings(changes, names, heirs)
    entrants = await entries.by_event(session, workspace_id, running, events, now)
    entrants += entries.by_change(running, changes, heirs, now)
    admission = await entries.admit(session, workspace_id, entrants, listening.audience, now)
    holding = held(changes, listening.heard.rules, heirs)
    woken = await wake(session, workspace_id, library, listening.heard, events, holding, now)
    return bool(admission.entered) or woken


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
