"""Puts together the file with everything that is held of a person: a ZIP of JSON and a CSV."""

import asyncio
import tempfile
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.contracts.erasure import PersonExport
from services.kit.http import ServiceClient
from services.kit.postgres import SessionMaker, workspace_tx
from services.profile.erasure import packed
from services.profile.erasure.personal import PERSONAL, Person
from services.profile.exports import store
from services.profile.exports.tables import ProfileExportPartRow, ProfileExportRow
from services.profile.feed import store as feed

OWN = tuple(h for h in PERSONAL if h.row not in (ProfileExportRow, ProfileExportPartRow))
_IN_MEMORY_BYTES = 8 * 1024 * 1024
_README = """What is held of one person.

profile/<table>.json   rows of the profile service; `feed.json` is what other systems were told
journeys/<table>.json  participations in journeys and messages, of the orchestrator
events.csv             every event, one per line; take one leading apostrophe off a cell to read it
"""


@dataclass(frozen=True, slots=True)
class Sources:
    maker: SessionMaker
    tracking: ServiceClient
    orchestrator: ServiceClient


@asynccontextmanager
async def bundle(sources: Sources, workspace_id: UUID, person: Person) -> AsyncIterator[IO[bytes]]:
    """The file, at its start; it is gone at the end of the block. ``Unavailable`` while a service
    does not answer."""
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("README.txt", _README)
            await _profile(sources, workspace_id, person, archive)
            await _journeys(sources, workspace_id, person, archive)
            await _events(sources, workspace_id, person, archive)
        file.seek(0)
        yield file


async def _profile(
    sources: Sources, workspace_id: UUID, person: Person, archive: zipfile.ZipFile
) -> None:
    async with workspace_tx(sources.maker, workspace_id) as session:
        for held in OWN:
            rows = await store.rows_of(session, workspace_id, person, held)
            await _write(archive, f"profile/{held.table}.json", rows)
        refused = await packed.refused(session, workspace_id, person)
        await _write(archive, "profile/quarantine.json", [event for _, event in refused])
        told = await _told(session, workspace_id, person)
    await _write(archive, "profile/feed.json", told)


async def _told(session: AsyncSession, workspace_id: UUID, person: Person) -> list[Change]:
    ids = {str(each) for each in person.profile_ids}
    after = 0
    found: list[Change] = []
    while rows := await feed.read(session, workspace_id, after, packed.PORTION_ROWS):
        for row in rows:
            changes = await asyncio.to_thread(row.entries, Change)
            found += [change for change in changes if change.profile_id in ids]
        after = rows[-1].offset
    return found


async def _journeys(
    sources: Sources, workspace_id: UUID, person: Person, archive: zipfile.ZipFile
) -> None:
    answer = await sources.orchestrator.request(
        "POST", "/internal/v1/export", workspace_id=workspace_id, json=_body(person)
    )
    answer.raise_for_status()
    for table, rows in answer.json().items():
        await _write(archive, f"journeys/{table}.json", rows)


async def _events(
    sources: Sources, workspace_id: UUID, person: Person, archive: zipfile.ZipFile
) -> None:
    path = "/internal/v1/exports/person"
    with archive.open("events.csv", "w", force_zip64=True) as entry:
        async with sources.tracking.stream(
            "POST", path, workspace_id=workspace_id, json=_body(person)
        ) as answer:
            answer.raise_for_status()
            async for piece in answer.aiter_bytes():
                await asyncio.to_thread(entry.write, piece)


def _body(person: Person) -> dict[str, Any]:
    body = PersonExport(
        profile_ids=person.profile_ids, subject_ids=person.subject_ids, contacts=person.contacts
    )
    return body.model_dump(mode="json")


async def _write(archive: zipfile.ZipFile, name: str, rows: Any) -> None:
    await asyncio.to_thread(lambda: archive.writestr(name, msgspec.json.encode(rows)))
