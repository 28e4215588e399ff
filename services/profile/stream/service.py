"""Applies a block of the log to profiles: one transaction, a fixed number of statements."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.contracts.events import Event
from services.identifiers import subject_id
from services.profile.consents import store as consent_store
from services.profile.consents.policy import is_group
from services.profile.consents.policy_store import policy
from services.profile.identity import store as identity
from services.profile.identity.resolve import Resolution, resolve
from services.profile.identity.store import Linked, MergeRecord
from services.profile.profiles import store as profiles
from services.profile.profiles.traits import Traits
from services.profile.stream import entries
from services.profile.stream.block import Block, identifiers, sightings
from services.profile.stream.fold import Folded, Said, fold, said

Statement = tuple[int, Event, Said]


@dataclass(slots=True)
class Applied:
    """A block's outcome: who is who, what is known of them, and the feed entries so far."""

    resolution: Resolution
    folded: Folded
    existing: set[str]
    """Profiles that were there before the block."""
    became: dict[str, str]
    """Merged profiles and the living one each became part of."""
    living: list[str]
    """Every living profile the block touched, in order of first touch."""
    changes: list[Change]


async def apply(session: AsyncSession, workspace_id: UUID, block: Block, now_ms: int) -> Applied:
    """Identity, traits and consents of a block, and the entries that tell of them."""
    wanted = {i for event in block.events for i in identifiers(event)}
    owners, nodes = await identity.load(session, workspace_id, wanted)
    existing = {node.profile_id for node in nodes}
    resolution, statements = await asyncio.to_thread(
        lambda: (resolve(sightings(block), owners, nodes), _statements(block.events))
    )
    folded = await _fold(session, workspace_id, resolution, statements, existing)
    became = {m.loser: resolution.canonical(m.loser) for m in resolution.merges}
    living = list(dict.fromkeys(map(resolution.canonical, resolution.owners)))
    result = Applied(resolution, folded, existing, became, living, [])

    moved = await _save_identity(session, workspace_id, block, result)
    await _save_profiles(session, workspace_id, block, result)
    result.changes = await asyncio.to_thread(entries.event_entries, block.events, resolution)
    result.changes += entries.linked_entries(moved)
    result.changes += entries.fact_entries(folded, living, now_ms)
    return result


def _statements(events: Iterable[Event]) -> list[Statement]:
    found = ((index, event, said(event)) for index, event in enumerate(events))
    return [(index, event, s) for index, event, s in found if s is not None]


async def _fold(
    session: AsyncSession,
    workspace_id: UUID,
    resolution: Resolution,
    statements: list[Statement],
    existing: set[str],
) -> Folded:
    merging = {p for m in resolution.merges for p in (m.winner, m.loser)}
    of_traits = merging | {resolution.owners[i] for i, _, s in statements if s.traits}
    of_consents = merging | {resolution.owners[i] for i, _, s in statements if s.consents}
    folded = Folded({}, {})
    if known := of_traits & existing:
        folded.traits = await profiles.load_traits(session, workspace_id, known)
    if known := of_consents & existing:
        folded.consents = await consent_store.load(session, workspace_id, known)
    if any(is_group(c.place.purpose) for _, _, s in statements for c in s.consents):
        folded.confirmed_purposes = (await policy(session, workspace_id)).confirmed_groups
    await asyncio.to_thread(fold, statements, resolution, folded)
    return folded


async def _save_identity(
    session: AsyncSession, workspace_id: UUID, block: Block, applied: Applied
) -> list[Linked]:
    """Writes links, merges and conflicts; answers every identifier that has a new profile."""
    resolution, events = applied.resolution, block.events
    links = [
        Linked(
            namespace,
            value,
            _subject(workspace_id, events[index], namespace, value),
            resolution.canonical(owner),
            events[index].occurred_at,
        )
        for (namespace, value), (owner, index) in resolution.links.items()
    ]
    moved: list[Linked] = []
    if resolution.merges:
        moved = await _save_merges(session, workspace_id, block, applied)
    if links:
        await identity.link(session, workspace_id, links)
    if resolution.conflicts:
        causes = [events[conflict.index] for conflict in resolution.conflicts]
        seen = [(event.message_id, event.occurred_at) for event in causes]
        await identity.record_conflicts(session, workspace_id, resolution.conflicts, seen)
    return links + moved


def _subject(workspace_id: UUID, event: Event, namespace: str, value: str) -> str:
    if identifiers(event)[0] == (namespace, value):
        return event.subject_id
    return str(subject_id(workspace_id, namespace, value))


async def _save_merges(
    session: AsyncSession, workspace_id: UUID, block: Block, applied: Applied
) -> list[Linked]:
    resolution, became = applied.resolution, applied.became
    old = [loser for loser in became if loser in applied.existing]
    held = await identity.identifiers_of(session, workspace_id, old) if old else []
    named: dict[str, list[tuple[str, str]]] = {}
    for link in held:
        named.setdefault(link.profile_id, []).append((link.namespace, link.value))
    for identifier, (owner, _) in resolution.links.items():
        named.setdefault(owner, []).append(identifier)
    records = []
    for merge in resolution.merges:
        event = block.events[merge.index]
        traits = applied.folded.traits.get(merge.loser, Traits())
        snapshot = {
            "created_seq": merge.loser_seq,
            "identifiers": named.get(merge.loser, []),
            "traits": traits.values,
            "trait_times": traits.times,
        }
        records.append(
            MergeRecord(merge.winner, merge.loser, event.message_id, event.occurred_at, snapshot)
        )
    await identity.merge(session, workspace_id, became, records)
    return [
        Linked(x.namespace, x.value, x.subject_id, became[x.profile_id], x.at or records[0].at)
        for x in held
    ]


async def _save_profiles(
    session: AsyncSession, workspace_id: UUID, block: Block, applied: Applied
) -> None:
    resolution, folded = applied.resolution, applied.folded
    seen = await _seen(session, workspace_id, block, applied)
    if gone := [loser for loser in applied.became if loser in applied.existing]:
        await profiles.remove(session, workspace_id, gone)
        await consent_store.remove(session, workspace_id, gone)
    new: list[profiles.Write] = []
    old: list[profiles.Write] = []
    for profile_id in applied.living:
        node = resolution.nodes[profile_id]
        traits = folded.traits.get(profile_id)
        first, last = seen[profile_id]
        write = profiles.Write(
            profile_id, node.user_id, node.identifier_count, node.created_seq, first, last, traits
        )
        (old if profile_id in applied.existing else new).append(write)
    await profiles.insert(session, workspace_id, new)
    await profiles.update(session, workspace_id, old)
    said_of = [(p, folded.consents[p]) for p in applied.living if p in folded.consents]
    await consent_store.put(session, workspace_id, said_of)
    await consent_store.append(session, workspace_id, folded.ledger, block.seqs)


async def _seen(
    session: AsyncSession, workspace_id: UUID, block: Block, applied: Applied
) -> dict[str, tuple[int, int]]:
    """First and last event time of the living, in ms, those of merged profiles included."""
    seen: dict[str, tuple[int, int]] = {}

    def widen(profile_id: str, first: int, last: int) -> None:
        known = seen.get(profile_id, (first, last))
        seen[profile_id] = (min(known[0], first), max(known[1], last))

    canonical = applied.resolution.canonical
    for owner, event in zip(applied.resolution.owners, block.events, strict=True):
        widen(canonical(owner), event.occurred_at, event.occurred_at)
    if gone := [loser for loser in applied.became if loser in applied.existing]:
        found = await profiles.load_seen(session, workspace_id, gone)
        for loser, (first, last) in found.items():
            widen(canonical(loser), first, last)
    return seen
