"""Lets refused events through that pass the rules of now."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.events import Event
from services.kit.feeds import pack
from services.tracking.errors import QuarantinedEventNotFound
from services.tracking.identity_policy import store as policies
from services.tracking.log.port import Append, LogAppender, events_partition
from services.tracking.plans.service import running
from services.tracking.quarantine import store
from services.tracking.quarantine.again import Rules, StillRefused, try_again
from services.tracking.quarantine.store import Filter
from services.tracking.webhooks.service import mappings_of

MAX_ROWS = 500
MAX_BYTES = 16 * 1024 * 1024
_EVENTS_PER_APPEND = 2_500


@dataclass(frozen=True, slots=True)
class Replayed:
    rows: int
    events: int
    refused: list[StillRefused]
    last_id: int | None
    """Of the last row looked at; None at the end."""


async def replay(
    session: AsyncSession,
    appender: LogAppender,
    workspace_id: UUID,
    *,
    ids: Sequence[int] | None,
    wanted: Filter,
    after: int,
) -> Replayed:
    """Appends to the log, then marks the rows; ``session`` holds them until its commit.

    If that fails the rows stay as they were, and what the next replay appends again has the same
    message ids: it is dropped as duplicates.

    ``QuarantinedEventNotFound`` names ids that do not exist. Rows replayed before are passed over.
    """
    if ids is not None:
        present = await store.ids_present(session, ids)
        missing = sorted(set(ids) - set(present))
        if missing:
            raise QuarantinedEventNotFound(
                f"Not in quarantine: {', '.join(map(str, missing[:20]))}."
            )
    rows = await store.claim(
        session, ids=ids, wanted=wanted, after=after, limit=MAX_ROWS, max_bytes=MAX_BYTES
    )
    rules = await _rules(session, {row.source_id for row in rows})
    policy = await policies.newest(session, workspace_id)
    outcome = await asyncio.to_thread(try_again, workspace_id, rows, rules, policy)
    appends = await asyncio.to_thread(_appends, workspace_id, outcome.events)
    await asyncio.gather(*(appender.append(each) for each in appends))
    await store.add(session, outcome.anew)
    await store.mark_replayed(session, outcome.passed)
    last = rows[-1].id if rows else None
    return Replayed(len(outcome.passed), len(outcome.events), outcome.refused, last)


async def _rules(session: AsyncSession, source_ids: set[str]) -> dict[str, Rules]:
    plans = await running(session, source_ids)
    mappings = await mappings_of(session, source_ids)
    return {name: Rules(plans.get(name), mappings.get(name)) for name in source_ids}


def _appends(workspace_id: UUID, events: Sequence[Event]) -> list[Append]:
    partition = events_partition(workspace_id)
    parts = [events[i : i + _EVENTS_PER_APPEND] for i in range(0, len(events), _EVENTS_PER_APPEND)]
    return [Append(workspace_id, partition, len(part), pack(part)) for part in parts]
