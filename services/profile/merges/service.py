"""Merging two people because somebody says that they are one, and taking a merge back."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.errors import MergeNotFound, MergeTooLarge, MergeUndone, ProfilesAreOne
from services.profile.feed import store as feed
from services.profile.identity.joint import MAX_IDENTIFIERS, MAX_MERGES
from services.profile.identity.resolve import Merge, Node, Resolution, seniority
from services.profile.identity.store import Cause
from services.profile.merges import store, undo
from services.profile.merges.store import StoredMerge
from services.profile.profiles.service import canonical
from services.profile.rules.service import RuleCache
from services.profile.stream import blocks
from services.profile.stream import store as stream
from services.profile.stream.block import Block
from services.profile.stream.service import Decided
from services.profile.traits import store as trait_store


@dataclass(frozen=True, slots=True)
class Decision:
    """Who says so, why, and when (ms). ``decision_id`` makes a repeated call harmless."""

    decision_id: UUID
    reason: str
    decided_by: str
    now_ms: int


async def merge(
    session: AsyncSession,
    workspace_id: UUID,
    profile_id: UUID,
    merged_id: UUID,
    decision: Decision,
    cache: RuleCache,
) -> StoredMerge:
    """Two profiles become one, two known people too, which no event can bring about (ID-6).

    The known one survives, of two unknown ones the older, of two known ones ``profile_id``.
    """
    place = await stream.lock(session, workspace_id)
    if (known := await store.find(session, workspace_id, decision.decision_id)) is not None:
        return known
    mine = await canonical(session, workspace_id, profile_id)
    other = await canonical(session, workspace_id, merged_id)
    if mine == other:
        detail = f"{profile_id} and {merged_id} both stand for the profile {mine}."
        raise ProfilesAreOne(detail, profile_id=str(mine))
    sides = [await store.node(session, workspace_id, each) for each in (mine, other)]
    await _check_size(session, workspace_id, sides)
    both_known = all(side.user_id is not None for side in sides)
    winner, loser = sides if both_known else sorted(sides, key=seniority)
    decided = _decided(winner, loser, decision)

    ruleset = await cache.get(session, workspace_id, place.rules_revision)
    policy = await trait_store.load(session, workspace_id)
    nothing, now_ms = Block(place.log_offset), decision.now_ms
    await blocks.follow(session, workspace_id, nothing, decided, ruleset, policy, now_ms)
    return await find(session, workspace_id, decision.decision_id)


async def _check_size(session: AsyncSession, workspace_id: UUID, sides: list[Node]) -> None:
    held = sum(side.identifier_count for side in sides)
    if held > MAX_IDENTIFIERS:
        raise MergeTooLarge(
            f"They hold {held} identifiers together; a profile holds {MAX_IDENTIFIERS} at most.",
            identifiers=held,
        )
    merges = 1
    for side in sides:
        merges += await store.alias_count(session, workspace_id, UUID(side.profile_id))
    if merges > MAX_MERGES:
        raise MergeTooLarge(
            f"It would be merge {merges} of this person; {MAX_MERGES} are possible.", merges=merges
        )


def _decided(winner: Node, loser: Node, decision: Decision) -> Decided:
    survivor = Node(
        winner.profile_id,
        winner.user_id,
        winner.created_seq,
        winner.identifier_count + loser.identifier_count,
    )
    made = Merge(
        0,
        winner.profile_id,
        loser.profile_id,
        loser.created_seq,
        loser_user_id=loser.user_id,
    )
    cause = Cause("", decision.now_ms, decision.decision_id, decision.reason, decision.decided_by)
    resolution = Resolution(
        merges=[made],
        nodes={winner.profile_id: survivor},
        became={loser.profile_id: winner.profile_id},
    )
    return Decided(resolution, {winner.profile_id, loser.profile_id}, {}, [cause])


async def unmerge(
    session: AsyncSession, workspace_id: UUID, merge_id: UUID, decision: Decision
) -> StoredMerge:
    """Take a merge back: the side that was merged away lives again with all that is its own.

    Whatever the sides were merged with before or since stays with the side it was merged with.
    """
    await stream.lock(session, workspace_id)
    made = await find(session, workspace_id, merge_id)
    if made.unmerge_id == decision.decision_id:
        return made
    if made.unmerge_id is not None:
        raise MergeUndone(
            f"Merge {merge_id} was undone at {made.unmerged_at:%Y-%m-%dT%H:%M:%SZ}.",
            merge_id=str(merge_id),
        )
    parted = await undo.part(session, workspace_id, made, decision.now_ms)
    offset = await feed.append(session, workspace_id, parted.changes)
    await store.record_unmerge(
        session,
        workspace_id,
        merge_id=merge_id,
        unmerge_id=decision.decision_id,
        profile_id=UUID(parted.living),
        revived_id=UUID(parted.revived),
        reason=decision.reason,
        decided_by=decision.decided_by,
        unmerged_at=parted.at,
        feed_offset=offset,
        snapshot=parted.snapshot,
    )
    return await find(session, workspace_id, merge_id)


async def find(session: AsyncSession, workspace_id: UUID, merge_id: UUID) -> StoredMerge:
    """``MergeNotFound`` where there is none."""
    found = await store.find(session, workspace_id, merge_id)
    if found is None:
        raise MergeNotFound(f"Merge {merge_id} does not exist.", merge_id=str(merge_id))
    return found
