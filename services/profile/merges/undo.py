"""Takes one person apart along a merge, in the caller's transaction under the workspace's lock."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.profile.consents import store as consents
from services.profile.consents.ledger import Consents
from services.profile.identity import store as identity
from services.profile.identity.resolve import Node
from services.profile.identity.store import Linked
from services.profile.merges import account_store, history_store, impact, store, undo_store
from services.profile.merges.divide import Known, divide
from services.profile.merges.graph import split
from services.profile.merges.store import StoredMerge
from services.profile.merges.undo_store import Taken
from services.profile.profiles import store as profiles
from services.profile.profiles.traits import Traits
from services.profile.recounts import store as recounts
from services.profile.stream.entries import consent_entries


@dataclass(frozen=True, slots=True)
class Parted:
    """``changes`` for the feed; ``snapshot``: the one person as it was."""

    living: str
    revived: str
    at: datetime
    changes: list[Change]
    snapshot: dict[str, Any]


async def part(session: AsyncSession, workspace_id: UUID, made: StoredMerge, now_ms: int) -> Parted:
    """Everything but the ledger row. Both sides stand still until their events are counted anew."""
    cut = made.edge
    living = (await identity.canonical(session, workspace_id, [cut.merged]))[cut.merged]
    ids = await store.ids_of(session, workspace_id, UUID(living))
    edges = await store.edges(session, workspace_id, ids)
    parts = split(list(map(str, ids)), edges, cut, living, str(made.merged_id))
    revived = parts.revived
    snapshots = (made.survivor, made.snapshot)
    if cut.merged not in parts.theirs:
        snapshots = (made.snapshot, made.survivor)
    ours, theirs = map(Known.of, snapshots)

    before = await store.node(session, workspace_id, UUID(living))
    now = await _known(session, workspace_id, living)
    taken = await undo_store.take(session, workspace_id, living, revived, parts.theirs)
    said = await history_store.divided(session, workspace_id, ids, {x.subject_id for x in taken})
    await history_store.move(session, workspace_id, said, living, revived, parts.theirs)
    kept, lives = divide(now, ours, theirs, said)
    died = await store.death(session, workspace_id, UUID(revived))
    rest = await identity.identifiers_of(session, workspace_id, [living])
    mine = _user_id(((x.namespace, x.value) for x in rest), before.user_id)
    theirs_user = _user_id(((x.namespace, x.value) for x in taken), died.get("user_id"))
    await _write(
        session,
        workspace_id,
        (Node(living, mine, before.created_seq, len(rest)), kept),
        (Node(revived, theirs_user, died["created_seq"], len(taken)), lives),
    )
    met = await impact.standing(session, workspace_id, [living])
    await impact.record_unmerge(session, workspace_id, made.merge_id, met)
    await undo_store.copy_standing(session, workspace_id, living, revived)
    await recounts.ask(session, workspace_id, [living, revived], made.merge_id)
    told = _unmerged(made.merge_id, living, revived, taken, rest, now_ms)
    changes = [told, *_linked(revived, taken)]
    changes += _facts(living, now, kept, now_ms) + _facts(revived, Known(), lives, now_ms)
    changes += await account_store.part(session, workspace_id, living, revived, snapshots, now_ms)
    return Parted(
        living,
        revived,
        datetime.fromtimestamp(now_ms / 1000, UTC),
        changes,
        _snapshot(before, now, parts.theirs),
    )


async def _known(session: AsyncSession, workspace_id: UUID, profile_id: str) -> Known:
    return Known(
        (await profiles.load_traits(session, workspace_id, [profile_id]))[profile_id],
        (await consents.load(session, workspace_id, [profile_id])).get(profile_id, Consents()),
        (await profiles.load_seen(session, workspace_id, [profile_id]))[profile_id],
    )


async def _write(
    session: AsyncSession,
    workspace_id: UUID,
    goes_on: tuple[Node, Known],
    lives_again: tuple[Node, Known],
) -> None:
    node, known = lives_again
    assert known.seen is not None
    row = profiles.Write(
        node.profile_id,
        node.user_id,
        node.identifier_count,
        node.created_seq,
        *known.seen,
        known.traits,
    )
    await profiles.insert(session, workspace_id, [row])
    kept_node, kept = goes_on
    assert kept.seen is not None
    traits = (kept.traits.values, kept.traits.meta)
    await undo_store.put(session, workspace_id, kept_node, traits, kept.seen)
    await consents.remove(session, workspace_id, [kept_node.profile_id])
    said = [(n.profile_id, k.consents) for n, k in (goes_on, lives_again)]
    await consents.put(session, workspace_id, said)


def _user_id(identifiers: Iterable[tuple[str, str]], usual: str | None) -> str | None:
    """The one a side is known by: the one it had, if that is among its own, else its first."""
    own = [value for namespace, value in identifiers if namespace == "user_id"]
    return usual if usual in own else next(iter(own), None)


def _unmerged(
    merge_id: UUID,
    living: str,
    revived: str,
    taken: Iterable[Taken],
    rest: Iterable[Linked],
    now_ms: int,
) -> Change:
    data = {
        "merge_id": str(merge_id),
        "merged_id": revived,
        "subject_ids": sorted({x.subject_id for x in taken}),
        "kept_subject_ids": sorted({x.subject_id for x in rest}),
    }
    return Change("profile.unmerged", living, now_ms, data)


def _linked(profile_id: str, taken: Iterable[Taken]) -> list[Change]:
    return [
        Change(
            "identity.linked",
            profile_id,
            x.at,
            {"namespace": x.namespace, "value": x.value, "subject_id": x.subject_id},
        )
        for x in taken
    ]


def _facts(profile_id: str, before: Known, after: Known, now_ms: int) -> list[Change]:
    """Traits that are others than before, and every consent: readers start anew with those."""
    changes = []
    if changed := _changed(before.traits, after.traits):
        changes.append(Change("profile.updated", profile_id, now_ms, {"traits": changed}))
    return changes + consent_entries(profile_id, after.consents, after.consents.current)


def _changed(before: Traits, after: Traits) -> dict[str, Any]:
    keys = sorted(before.values.keys() | after.values.keys())
    return {
        key: after.values.get(key)
        for key in keys
        if key not in after.values
        or key not in before.values
        or after.values[key] != before.values[key]
    }


def _snapshot(before: Node, now: Known, theirs: Iterable[str]) -> dict[str, Any]:
    return {
        "user_id": before.user_id,
        "traits": now.traits.values,
        "trait_meta": now.traits.meta,
        "consents": now.consents.rows(),
        "seen": now.seen,
        "revived_ids": sorted(theirs),
    }
