"""The steps after an erasure has begun, each safe to repeat: a process may be killed between any
two lines. What a step has done is committed with the mark that says so."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import httpx2
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.erasure import (
    Compacted,
    PersonErasure,
    PersonRemoval,
    Removed,
    ServiceErasure,
    StoreReport,
)
from services.kit import compaction
from services.kit.http import ServiceClient
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.seal import Seal
from services.profile.clock import Clock
from services.profile.erasure import packed, service, store
from services.profile.erasure.personal import PERSONAL, Person
from services.profile.erasure.service import OWN, part
from services.profile.erasure.store import Open
from services.profile.erasure.tables import ErasureRow
from services.profile.feed import store as feed
from services.profile.stream import store as stream

COMPACTED = ("feed", "quarantine", *(held.table for held in PERSONAL))


@dataclass(frozen=True, slots=True)
class Resources:
    maker: SessionMaker
    seal: Seal[Person]
    tracking: ServiceClient
    orchestrator: ServiceClient
    clock: Clock


async def rewrite_feed(resources: Resources, each: Open) -> None:
    """Takes the person's entries out of the feed, some rows at a time."""
    more = True
    while more:
        async with workspace_tx(resources.maker, each.workspace_id) as session:
            row, person = await _locked(resources, session, each)
            done = await packed.rewrite_feed(
                session, each.workspace_id, person, row.feed_done, row.feed_end
            )
            more = done.end is not None
            row.feed_done = row.feed_end if done.end is None else done.end
            row.parts = _counted(row, "feed", done.erased)


async def compact(resources: Resources, erasures: Sequence[Open]) -> bool:
    """Removes the dead rows from the files, for all erasures at once. False when another session
    of PostgreSQL can still see them."""
    async with resources.maker.begin() as session:
        since = await compaction.transaction_id(session)
    for name in COMPACTED:
        if not await compaction.compact(resources.maker, name, since):
            return False
    for workspace_id in {each.workspace_id for each in erasures}:
        async with workspace_tx(resources.maker, workspace_id) as session:
            await store.compacted(session, erasures, resources.clock.now())
    return True


async def ask_tracking(resources: Resources, each: Open) -> None:
    """Has tracking erase the person's events, and takes over how far it is."""
    async with workspace_tx(resources.maker, each.workspace_id) as session:
        row, person = await _locked(resources, session, each)
        tracking_id, asked_at = row.tracking_id, row.requested_at
    if tracking_id is None:
        body = PersonErasure(
            profile_id=person.profile_ids[0], subject_ids=person.subject_ids, since=asked_at
        )
        answer = await _call(
            resources.tracking, "/internal/v1/erasures", each.workspace_id, body.model_dump_json()
        )
    else:
        answer = await resources.tracking.request(
            "GET", f"/internal/v1/erasures/{tracking_id}", workspace_id=each.workspace_id
        )
        answer.raise_for_status()
    found = ServiceErasure.model_validate_json(answer.content)
    state = "done" if found.state == "finished" else "pending"
    async with workspace_tx(resources.maker, each.workspace_id) as session:
        row, _ = await _locked(resources, session, each)
        row.tracking_id = found.id
        row.parts = {
            **row.parts,
            "tracking": part(state, found.stores, verified=found.verified),
        }


async def ask_orchestrator(resources: Resources, each: Open) -> None:
    """Has the orchestrator take the person out of its tables."""
    async with workspace_tx(resources.maker, each.workspace_id) as session:
        row, person = await _locked(resources, session, each)
        body = PersonRemoval(
            profile_ids=person.profile_ids, contacts=person.contacts, position=row.feed_end
        )
    answer = await _call(
        resources.orchestrator, "/internal/v1/erase", each.workspace_id, body.model_dump_json()
    )
    found = Removed.model_validate_json(answer.content)
    async with workspace_tx(resources.maker, each.workspace_id) as session:
        row, _ = await _locked(resources, session, each)
        verified = not any(each.left for each in found.stores)
        told = part("removed", found.stores, verified=verified)
        row.parts = {**row.parts, "orchestrator": told}


async def compact_orchestrator(resources: Resources, erasures: Sequence[Open]) -> bool:
    """Has it remove from its files what it took out of its tables, for all erasures at once."""
    answer = await resources.orchestrator.request("POST", "/internal/v1/compact")
    answer.raise_for_status()
    if not Compacted.model_validate_json(answer.content).compacted:
        return False
    for each in erasures:
        async with workspace_tx(resources.maker, each.workspace_id) as session:
            row, _ = await _locked(resources, session, each)
            told = {**row.parts["orchestrator"], "state": "done"}
            row.parts = {**row.parts, "orchestrator": told}
    return True


async def verify(resources: Resources, each: Open) -> None:
    """Reads every table and the whole feed for the person; finishes the certificate. What a
    neighbour brought meanwhile (an answer that was on its way) is removed first."""
    now = resources.clock.now()
    async with workspace_tx(resources.maker, each.workspace_id) as session:
        await stream.lock(session, each.workspace_id)
        row, person = await _locked(resources, session, each)
        late = await service.remove(session, each.workspace_id, person, now)
        if any(line.erased for line in late):
            for line in late:
                row.parts = _counted(row, line.store, line.erased)
            row.compacted_at = None
            return
        left = await store.left(session, each.workspace_id, person)
        left["quarantine"] = len(await packed.refused(session, each.workspace_id, person))
    scanned, left["feed"] = await _look(resources, each, person)
    async with workspace_tx(resources.maker, each.workspace_id) as session:
        row, _ = await _locked(resources, session, each)
        _finish(row, left, scanned, now)


def _finish(row: ErasureRow, left: dict[str, int], scanned: int, now: datetime) -> None:
    stores = [StoreReport.model_validate(line) for line in row.parts[OWN]["stores"]]
    for line in stores:
        line.left = left.get(line.store, 0)
        line.scanned = scanned if line.store == "feed" else line.left
    clean = not any(left.values())
    row.parts = {**row.parts, OWN: part("done", stores, verified=clean)}
    row.verified = all(each["verified"] for each in row.parts.values())
    row.work = None
    row.finished_at = now


async def _look(resources: Resources, each: Open, person: Person) -> tuple[int, int]:
    """Entries of the whole feed, and how many of them are the person's."""
    after = scanned = left = 0
    while True:
        async with workspace_tx(resources.maker, each.workspace_id) as session:
            rows = await feed.read(session, each.workspace_id, after, packed.PORTION_ROWS)
        if not rows:
            return scanned, left
        counted, theirs = packed.look(rows, person)
        scanned, left, after = scanned + counted, left + theirs, rows[-1].offset


async def _locked(
    resources: Resources, session: AsyncSession, each: Open
) -> tuple[ErasureRow, Person]:
    row = await store.find(session, each.workspace_id, each.erasure_id, lock=True)
    assert row is not None, "erasures are never deleted"
    assert row.work is not None, "an open erasure has its notes"
    return row, resources.seal.open(row.work)


async def _call(client: ServiceClient, path: str, workspace_id: UUID, body: str) -> httpx2.Response:
    answer = await client.request(
        "POST",
        path,
        workspace_id=workspace_id,
        content=body,
        headers={"Content-Type": "application/json"},
    )
    answer.raise_for_status()
    return answer


def _counted(row: ErasureRow, name: str, more: int) -> dict[str, object]:
    """The parts with ``more`` rows or entries of one of our own stores."""
    lines = {line["store"]: line for line in row.parts[OWN]["stores"]}
    known = lines.get(name, StoreReport(store=name, erased=0).model_dump())
    lines[name] = {**known, "erased": known["erased"] + more}
    return {**row.parts, OWN: {**row.parts[OWN], "stores": list(lines.values())}}
