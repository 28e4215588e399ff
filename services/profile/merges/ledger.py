"""Reads the ledger of a merge and the graph of a person."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.orchestrator import Impact
from services.profile.identity import store as identity
from services.profile.merges import graph_store, impact, store
from services.profile.merges.impact import Standing
from services.profile.merges.model import (
    Effect,
    GraphMerge,
    GraphProfile,
    MergeDetail,
    PersonGraph,
    merge_of,
    side_of,
)
from services.profile.merges.store import StoredMerge
from services.profile.recounts import store as recounts


@dataclass(frozen=True, slots=True)
class Entry:
    """What this service's ledgers say of a merge."""

    made: StoredMerge
    met: Standing
    merge_effects: list[Effect]
    undo_effects: list[Effect]
    recounting: bool
    profile_ids: set[UUID]
    """Everybody the people of the merge are or were."""

    def detail(self, journeys: Impact | Literal["unknown"]) -> MergeDetail:
        made = self.made
        return MergeDetail(
            **dict(merge_of(made)),
            survivor=side_of(made.survivor, self.met, made.profile_id),
            merged=side_of(made.snapshot, self.met, made.merged_id),
            merge_effects=self.merge_effects,
            undo_effects=self.undo_effects,
            recounting=self.recounting,
            journeys=journeys,
        )


async def read(session: AsyncSession, workspace_id: UUID, made: StoredMerge) -> Entry:
    found = await impact.read(session, workspace_id, made.merge_id)
    met, effects = found.get("merge", ({}, []))
    _, undo_effects = found.get("unmerge", ({}, []))
    ids = {made.profile_id, made.merged_id, made.survivor_origin_id, made.merged_origin_id}
    living = await identity.canonical(session, workspace_id, set(map(str, ids)))
    pending = await recounts.pending(session, workspace_id)
    return Entry(
        made,
        met,
        [Effect(**each) for each in effects],
        [Effect(**each) for each in undo_effects],
        any(each.merge_id == made.merge_id for each in pending),
        ids | set(map(UUID, living.values())),
    )


async def graph(session: AsyncSession, workspace_id: UUID, living: UUID) -> PersonGraph:
    ids = await store.ids_of(session, workspace_id, living)
    return PersonGraph(
        profiles=[GraphProfile(id=each, living=each == living) for each in ids],
        identifiers=await graph_store.identifiers(session, workspace_id, living),
        merges=[
            GraphMerge(
                merge_id=UUID(edge.merge_id),
                survivor_id=UUID(edge.survivor),
                merged_id=UUID(edge.merged),
            )
            for edge in await store.edges(session, workspace_id, ids)
        ],
        conflicts=await graph_store.conflicts(session, workspace_id, ids),
    )
