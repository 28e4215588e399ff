"""Merged profiles: the loser's journeys go on as the winner's, each only once (semantics ID-8).

Where a merge is undone, journeys and messages stay where they are: what was done to the one person
cannot be taken back, and neither of the two may get it a second time.
"""

from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.orchestrator.engine import (
    merge_store,
    missed_store,
    participant_store,
    trace_store,
)
from services.orchestrator.engine.library import Library
from services.orchestrator.engine.participants import Participant, Traces
from services.orchestrator.inbox import store as inbox
from services.orchestrator.journeys.position import leave
from services.orchestrator.messages import gate_store
from services.orchestrator.policies import store as policies


def parts(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """The block cut before every unmerge: after it the same ids mean other people."""
    start = 0
    for index, change in enumerate(changes):
        if change.type == "profile.unmerged" and index > start:
            yield changes[start:index]
            start = index
    yield changes[start:]


async def unmerge(
    session: AsyncSession, workspace_id: UUID, changes: Sequence[Change], now: int
) -> None:
    """The unmerge a block begins with, if any: who lives again has entered what both have.

    Consents of both are told right after it; what they were as one no longer counts.
    """
    first = changes[0] if changes else None
    if first is not None and first.type == "profile.unmerged":
        lives, goes_on = UUID(first.data["merged_id"]), UUID(first.profile_id)
        await merge_store.copy_entries(session, workspace_id, goes_on, lives, now)
        await gate_store.forget(session, workspace_id, [goes_on, lives])


def heirs(changes: Iterable[Change]) -> dict[UUID, UUID]:
    """Merged id → the id that is canonical after the whole block."""
    found: dict[UUID, UUID] = {}
    for change in changes:
        if change.type != "profile.merged":
            continue
        winner, merged = UUID(change.profile_id), UUID(change.data["merged_id"])
        found = {loser: winner if heir == merged else heir for loser, heir in found.items()}
        found[merged] = winner
        found.pop(winner, None)
    return found


async def merge(
    session: AsyncSession,
    workspace_id: UUID,
    changes: Iterable[Change],
    library: Library,
    now: int,
) -> None:
    """Move participants, entries, anchors, messages and consents; end those erased or doubled."""
    changes = list(changes)
    erased = {UUID(c.profile_id) for c in changes if c.type == "profile.erased"}
    inherit = heirs(changes)
    if not inherit and not erased:
        return
    live = await participant_store.lock_live(
        session, workspace_id, {*inherit, *inherit.values(), *erased}
    )
    graphs = await library.load(session, (p.version_id for p in live))
    traces = Traces()
    leaving = [(p, "erased") for p in live if p.profile_id in erased]
    leaving += [(p, "merged") for p in doubled(live, inherit) if p.profile_id not in erased]
    for participant, reason in leaving:
        traces.record(participant, leave(participant.position, reason, now))
    gone = [participant for participant, _ in leaving]
    await participant_store.update(session, workspace_id, gone, graphs, now)
    await missed_store.drop(session, workspace_id, gone, [])
    await trace_store.keep(session, workspace_id, traces)
    if inherit:
        await merge_store.move(session, workspace_id, inherit)
        await gate_store.merge(session, workspace_id, inherit)
        await policies.merge(session, workspace_id, inherit)
        await inbox.move(session, workspace_id, inherit)


def doubled(live: Iterable[Participant], inherit: dict[UUID, UUID]) -> list[Participant]:
    """Of live participants of one (journey, key) all but the one who entered first."""
    groups: dict[tuple[UUID, UUID, str], list[Participant]] = {}
    for each in live:
        person = inherit.get(each.profile_id, each.profile_id)
        groups.setdefault((each.journey_id, person, each.ledger_key), []).append(each)
    return [
        late
        for group in groups.values()
        for late in sorted(group, key=lambda p: (p.entered_at, p.id))[1:]
    ]
