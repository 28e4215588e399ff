"""SQL of consents: blocks for the log, single ones for the API."""

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.ids import uuid7
from services.profile.arrays import plain, quoted, statement
from services.profile.consents.ledger import ConsentEntry, Consents

_LOAD = statement("""
SELECT c.profile_id::text AS profile_id, c.purpose, c.state,
       CAST(extract(epoch FROM c.at) * 1000 AS bigint) AS at
FROM unnest(CAST(:ids AS uuid[])) AS asked(profile_id)
JOIN consent c ON c.workspace_id = :workspace_id AND c.profile_id = asked.profile_id
""")

_DELETE = statement("""
DELETE FROM consent c USING unnest(CAST(:ids AS uuid[])) AS gone(profile_id)
WHERE c.workspace_id = :workspace_id AND c.profile_id = gone.profile_id
""")

_PUT = statement("""
INSERT INTO consent (workspace_id, profile_id, purpose, state, at)
SELECT :workspace_id, profile_id, purpose, state, to_timestamp(at / 1000.0)
FROM unnest(CAST(:ids AS uuid[]), CAST(:purposes AS text[]), CAST(:states AS text[]),
            CAST(:times AS bigint[])) AS new(profile_id, purpose, state, at)
ON CONFLICT (workspace_id, profile_id, purpose)
DO UPDATE SET state = excluded.state, at = excluded.at
""")

_LEDGER = statement("""
INSERT INTO consent_entry
  (workspace_id, entry_id, profile_id, purpose, state, at, source, message_id)
SELECT :workspace_id, entry_id, profile_id, purpose, state, to_timestamp(at / 1000.0), source,
       message_id
FROM unnest(CAST(:entry_ids AS uuid[]), CAST(:ids AS uuid[]), CAST(:purposes AS text[]),
            CAST(:states AS text[]), CAST(:times AS bigint[]), CAST(:sources AS text[]),
            CAST(:message_ids AS text[]))
  AS new(entry_id, profile_id, purpose, state, at, source, message_id)
""")


async def load(
    session: AsyncSession, workspace_id: UUID, profile_ids: Collection[str]
) -> dict[str, Consents]:
    found = await session.execute(_LOAD, {"workspace_id": workspace_id, "ids": plain(profile_ids)})
    consents: dict[str, Consents] = {}
    for profile_id, purpose, state, at in found.all():
        consents.setdefault(profile_id, Consents()).current[purpose] = (state, at)
    return consents


async def put(
    session: AsyncSession, workspace_id: UUID, consents: Iterable[tuple[str, Consents]]
) -> None:
    rows = [
        (profile_id, purpose, state, at)
        for profile_id, known in consents
        for purpose, (state, at) in known.current.items()
    ]
    if rows:
        ids, purposes, states, times = (list(column) for column in zip(*rows, strict=True))
        await session.execute(
            _PUT,
            {
                "workspace_id": workspace_id,
                "ids": plain(ids),
                "purposes": quoted(purposes),
                "states": quoted(states),
                "times": plain(times),
            },
        )


async def append(
    session: AsyncSession, workspace_id: UUID, entries: Sequence[ConsentEntry]
) -> None:
    if entries:
        await session.execute(
            _LEDGER,
            {
                "workspace_id": workspace_id,
                "entry_ids": plain(uuid7() for _ in entries),
                "ids": plain(e.profile_id for e in entries),
                "purposes": quoted(e.purpose for e in entries),
                "states": quoted(e.state for e in entries),
                "times": plain(e.at for e in entries),
                "sources": quoted(e.source for e in entries),
                "message_ids": quoted(e.message_id for e in entries),
            },
        )


async def remove(session: AsyncSession, workspace_id: UUID, profile_ids: Collection[str]) -> None:
    """What counted for merged profiles; the ledger stays."""
    await session.execute(_DELETE, {"workspace_id": workspace_id, "ids": plain(profile_ids)})
