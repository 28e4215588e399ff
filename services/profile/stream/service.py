"""Applies a block of the log to profiles: one transaction, a fixed number of statements."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.contracts.events import Event
from services.identifiers import subject_id
from services.profile.consents import store as consent_store
from services.profile.consents.ledger import Consents
from services.profile.consents.policy import is_group
from services.profile.consents.policy_store import policy as consent_policy
from services.profile.identity import conflicts
from services.profile.identity import store as identity
from services.profile.identity.limits import BUILT_IN, Era
from services.profile.identity.nodes import Identifier, Node
from services.profile.identity.resolve import Resolution, linking, resolve
from services.profile.identity.store import Cause, Linked, MergeRecord
from services.profile.identity_policy import store as policies
from services.profile.profiles import store as profiles
from services.profile.profiles.traits import Traits
from services.profile.stream import entries
from services.profile.stream.block import Block, identifiers
from services.profile.stream.fold import Folded, fold
from services.profile.stream.spans import Spans, walk
from services.profile.traits import ledger as trait_ledger
from services.profile.traits.mask import without_masked
from services.profile.traits.policy import Policy


@dataclass(frozen=True, slots=True)
class Decided:
    """Who is who from now on: ``causes`` of the merges, one each; ``existing`` as in Applied."""

    resolution: Resolution
    existing: set[str]
    origins: dict[Identifier, str]
    causes: list[Cause]


@dataclass(slots=True)
class Applied:
    """A block's outcome: who is who and what is known of them."""

    resolution: Resolution
    folded: Folded
    existing: set[str]
    """Profiles that were there before the block."""
    became: dict[str, str]
    """Merged profiles and the living one each became part of."""
    living: list[str]
    """Every living profile the block touched, in order of first touch."""
    moved: list[Linked]
    """Identifiers that have another profile than before."""
    causes: list[Cause]
    """Why each merge happened."""
    spans: Spans


async def decide(session: AsyncSession, workspace_id: UUID, block: Block) -> Decided:
    """Who is who after the block; nothing is written."""
    owners, nodes, origins = await identity.load(session, workspace_id, block.named)
    existing = {node.profile_id for node in nodes}
    growing = await asyncio.to_thread(linking, block.sightings, owners)
    eras = await _limits(session, workspace_id, block, nodes, growing)
    resolution = await asyncio.to_thread(resolve, block.sightings, owners, nodes, eras)
    for identifier, (owner, _) in resolution.links.items():
        anchor = resolution.anchors[identifier]
        origins[identifier] = owner if anchor is None else origins[anchor]
    found = [block.events[merge.index] for merge in resolution.merges]
    causes = [Cause(event.message_id, event.occurred_at) for event in found]
    return Decided(resolution, existing, origins, causes)


async def write(
    session: AsyncSession, workspace_id: UUID, block: Block, decided: Decided, policy: Policy
) -> Applied:
    """Identity as it was decided, and traits and consents; also without any event."""
    resolution, existing = decided.resolution, decided.existing
    folded = await _fold(session, workspace_id, block, resolution, existing, policy)
    became = {m.loser: resolution.canonical(m.loser) for m in resolution.merges}
    touched = [*map(resolution.canonical, resolution.owners), *became.values()]
    living = list(dict.fromkeys(touched))
    spans = await _spans(session, workspace_id, block, decided)
    result = Applied(resolution, folded, existing, became, living, [], decided.causes, spans)
    result.moved = await _save_identity(session, workspace_id, block, decided, result)
    await _save_profiles(session, workspace_id, block, result)
    return result


def told(block: Block, applied: Applied, now_ms: int, policy: Policy) -> list[Change]:
    """The feed entries that tell of what was written. Pure."""
    shown = without_masked(block.sayings, policy.latest)
    changes = entries.event_entries(block.events, applied.resolution, applied.causes, shown)
    changes += entries.linked_entries(applied.moved)
    changes += entries.fact_entries(applied.folded, applied.living, now_ms, policy.latest)
    return changes


async def _limits(
    session: AsyncSession,
    workspace_id: UUID,
    block: Block,
    nodes: list[Node],
    growing: set[str] | None,
) -> Sequence[Era]:
    """What limits the profiles that may grow; most blocks hold events of known people alone."""
    if growing is None:
        return BUILT_IN
    if growing:
        wanted = [node for node in nodes if node.profile_id in growing]
        await identity.load_history(session, workspace_id, wanted)
    return await policies.eras(session, workspace_id, block.seqs[0])


async def _fold(
    session: AsyncSession,
    workspace_id: UUID,
    block: Block,
    resolution: Resolution,
    existing: set[str],
    policy: Policy,
) -> Folded:
    merging = {p for m in resolution.merges for p in (m.winner, m.loser)}
    of_traits = merging | {resolution.owners[i] for i, _, s in block.sayings if s.traits}
    of_consents = merging | {
        resolution.owners[i]
        for i, _, s in block.sayings
        if s.consents or not policy.gated.isdisjoint(s.traits)
    }
    folded = Folded({}, {})
    if known := of_traits & existing:
        folded.traits = await profiles.load_traits(session, workspace_id, known)
    if known := of_consents & existing:
        folded.consents = await consent_store.load(session, workspace_id, known)
    if any(is_group(c.place.purpose) for _, _, s in block.sayings for c in s.consents):
        law = await consent_policy(session, workspace_id)
        folded.confirmed_purposes = law.confirmed_groups
    await asyncio.to_thread(fold, block.sayings, resolution, block.seqs, policy, folded)
    return folded


async def _save_identity(
    session: AsyncSession, workspace_id: UUID, block: Block, decided: Decided, applied: Applied
) -> list[Linked]:
    """Writes links, merges and conflicts; answers every identifier that has a new profile."""
    resolution, events = applied.resolution, block.events
    links = [
        Linked(
            namespace,
            value,
            _subject(workspace_id, events[index], namespace, value),
            resolution.canonical(owner),
            decided.origins[namespace, value],
            events[index].occurred_at,
        )
        for (namespace, value), (owner, index) in resolution.links.items()
    ]
    moved: list[Linked] = []
    if resolution.merges:
        moved = await _save_merges(session, workspace_id, decided, applied)
    if links:
        await identity.link(session, workspace_id, links)
    if resolution.conflicts:
        causes = [events[conflict.index] for conflict in resolution.conflicts]
        seen = [(event.message_id, event.occurred_at) for event in causes]
        await conflicts.record(session, workspace_id, resolution.conflicts, seen)
    return links + moved


def _subject(workspace_id: UUID, event: Event, namespace: str, value: str) -> str:
    if identifiers(event)[0] == (namespace, value):
        return event.subject_id
    return str(subject_id(workspace_id, namespace, value))


async def _save_merges(
    session: AsyncSession, workspace_id: UUID, decided: Decided, applied: Applied
) -> list[Linked]:
    resolution, became = decided.resolution, applied.became
    old = [loser for loser in became if loser in decided.existing]
    held = await identity.identifiers_of(session, workspace_id, old) if old else []
    named: dict[str, list[Identifier]] = {}
    for link in held:
        named.setdefault(link.profile_id, []).append((link.namespace, link.value))
    for identifier, (owner, _) in resolution.links.items():
        named.setdefault(owner, []).append(identifier)
    records = []
    for merge, cause in zip(resolution.merges, decided.causes, strict=True):
        ends = (merge.winner, merge.loser)
        if merge.seen is not None:
            ends = (decided.origins[merge.seen[0]], decided.origins[merge.seen[1]])
        snapshot = {
            "created_seq": merge.loser_seq,
            "user_id": merge.loser_user_id,
            "identifiers": sorted(named.get(merge.loser, [])),
            **_snapshot(applied, merge.loser),
        }
        survivor = _snapshot(applied, merge.winner, before=merge.loser)
        records.append(MergeRecord(merge.winner, merge.loser, *ends, cause, snapshot, survivor))
    await identity.merge(session, workspace_id, became, records)
    at = decided.causes[0].at
    return [replace(x, profile_id=became[x.profile_id], at=x.at or at) for x in held]


def _snapshot(applied: Applied, profile_id: str, *, before: str | None = None) -> dict[str, object]:
    """What is known of a profile that is merged away, or was of one that took over ``before``."""
    folded, spans = applied.folded, applied.spans
    if before is None:
        traits = folded.traits.get(profile_id, Traits())
        consents = folded.consents.get(profile_id, Consents())
        span = spans.of[profile_id]
    else:
        traits, consents = folded.survivors[before]
        span = spans.survivors[before]
    return {
        "traits": traits.values,
        "trait_meta": traits.meta,
        "consents": consents.rows(),
        "seen": span,
    }


async def _save_profiles(
    session: AsyncSession, workspace_id: UUID, block: Block, applied: Applied
) -> None:
    resolution, folded = applied.resolution, applied.folded
    if gone := [loser for loser in applied.became if loser in applied.existing]:
        await profiles.remove(session, workspace_id, gone)
        await consent_store.remove(session, workspace_id, gone)
    new: list[profiles.Write] = []
    old: list[profiles.Write] = []
    for profile_id in applied.living:
        node = resolution.nodes[profile_id]
        traits = folded.traits.get(profile_id)
        first, last = applied.spans.of[profile_id]
        write = profiles.Write(
            profile_id, node.user_id, node.identifier_count, node.created_seq, first, last, traits
        )
        (old if profile_id in applied.existing else new).append(write)
    await profiles.insert(session, workspace_id, new)
    await profiles.update(session, workspace_id, old)
    said_of = [(p, folded.consents[p]) for p in applied.living if p in folded.consents]
    await consent_store.put(session, workspace_id, said_of)
    await consent_store.append(session, workspace_id, folded.ledger, block.seqs)
    await trait_ledger.append(session, workspace_id, folded.history, applied.existing)
    await trait_ledger.refuse(session, workspace_id, folded.refused)


async def _spans(
    session: AsyncSession, workspace_id: UUID, block: Block, decided: Decided
) -> Spans:
    resolution = decided.resolution
    merging = {p for m in resolution.merges for p in (m.winner, m.loser)} & decided.existing
    known = await profiles.load_seen(session, workspace_id, merging) if merging else {}
    return await asyncio.to_thread(walk, block.events, resolution.owners, resolution.merges, known)
