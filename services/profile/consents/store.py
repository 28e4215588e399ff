"""SQL of consents as blocks of the log write them."""

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.arrays import plain, quoted, statement
from services.profile.consents.ledger import ConsentEntry, Consents, Decision, Held, Place

OVERALL = """(
  SELECT coalesce(jsonb_object_agg(purpose, state), '{}'::jsonb)
  FROM (
    SELECT c.purpose, CASE
      WHEN bool_or(c.state = 'granted' AND NOT EXISTS (
        SELECT FROM consent w
        WHERE w.workspace_id = c.workspace_id AND w.profile_id = c.profile_id
          AND w.purpose = c.purpose AND w.state = 'withdrawn' AND w.at >= c.at
          AND w.channel IN ('*', c.channel) AND w.contact_point IN ('*', c.contact_point)))
        THEN 'granted'
      WHEN bool_or(c.state = 'withdrawn' AND (c.asked_at < c.at) IS NOT FALSE) THEN 'withdrawn'
      ELSE 'pending' END AS state
    FROM consent c
    WHERE c.workspace_id = p.workspace_id AND c.profile_id = p.profile_id
    GROUP BY c.purpose) AS by_purpose)"""
"""``consents.decide.overall`` of the profile ``p`` as jsonb, without what the law presumes."""

_LOAD = statement("""
SELECT c.profile_id::text AS profile_id, c.purpose, c.channel, c.contact_point,
       c.own_state, CAST(extract(epoch FROM c.own_at) * 1000 AS bigint) AS own_at,
       c.repeated_state, CAST(extract(epoch FROM c.repeated_at) * 1000 AS bigint) AS repeated_at,
       CAST(extract(epoch FROM c.asked_at) * 1000 AS bigint) AS asked_at
FROM unnest(CAST(:ids AS uuid[])) AS asked(profile_id)
JOIN consent c ON c.workspace_id = :workspace_id AND c.profile_id = asked.profile_id
ORDER BY c.profile_id, c.purpose, c.channel, c.contact_point
""")

_DELETE = statement("""
DELETE FROM consent c USING unnest(CAST(:ids AS uuid[])) AS gone(profile_id)
WHERE c.workspace_id = :workspace_id AND c.profile_id = gone.profile_id
""")

_PUT = statement("""
INSERT INTO consent
  (workspace_id, profile_id, purpose, channel, contact_point, state, at, own_state, own_at,
   repeated_state, repeated_at, asked_at)
SELECT :workspace_id, profile_id, purpose, channel, contact_point, state,
       to_timestamp(at / 1000.0), own_state, to_timestamp(own_at / 1000.0), repeated_state,
       to_timestamp(repeated_at / 1000.0), to_timestamp(asked_at / 1000.0)
FROM unnest(CAST(:ids AS uuid[]), CAST(:purposes AS text[]), CAST(:channels AS text[]),
            CAST(:contact_points AS text[]), CAST(:states AS text[]), CAST(:times AS bigint[]),
            CAST(:own_states AS text[]), CAST(:own_times AS bigint[]),
            CAST(:repeated_states AS text[]), CAST(:repeated_times AS bigint[]),
            CAST(:asked AS bigint[]))
  AS new(profile_id, purpose, channel, contact_point, state, at, own_state, own_at,
         repeated_state, repeated_at, asked_at)
ON CONFLICT (workspace_id, profile_id, purpose, channel, contact_point)
DO UPDATE SET state = excluded.state, at = excluded.at, own_state = excluded.own_state,
  own_at = excluded.own_at, repeated_state = excluded.repeated_state,
  repeated_at = excluded.repeated_at, asked_at = excluded.asked_at
""")

_LEDGER = statement("""
INSERT INTO consent_line
  (workspace_id, profile_id, seq, line, purpose, channel, contact_point, state, at, source,
   message_id, wording_id, wording_version, proof)
SELECT :workspace_id, profile_id, seq, line, purpose, channel, contact_point, state,
       to_timestamp(at / 1000.0), source, message_id, wording_id, wording_version,
       CAST(proof AS jsonb)
FROM unnest(CAST(:ids AS uuid[]), CAST(:seqs AS bigint[]), CAST(:lines AS integer[]),
            CAST(:purposes AS text[]), CAST(:channels AS text[]), CAST(:contact_points AS text[]),
            CAST(:states AS text[]), CAST(:times AS bigint[]), CAST(:sources AS text[]),
            CAST(:message_ids AS text[]), CAST(:wording_ids AS text[]),
            CAST(:wording_versions AS integer[]), CAST(:proofs AS text[]))
  AS new(profile_id, seq, line, purpose, channel, contact_point, state, at, source, message_id,
         wording_id, wording_version, proof)
""")


async def load(
    session: AsyncSession, workspace_id: UUID, profile_ids: Collection[str]
) -> dict[str, Consents]:
    found = await session.execute(_LOAD, {"workspace_id": workspace_id, "ids": plain(profile_ids)})
    consents: dict[str, Consents] = {}
    for row in found.all():
        held = Held(
            Decision(row.own_state, row.own_at) if row.own_state else None,
            Decision(row.repeated_state, row.repeated_at) if row.repeated_state else None,
            row.asked_at,
        )
        mine = consents.setdefault(row.profile_id, Consents()).current
        mine[Place(row.purpose, row.channel, row.contact_point)] = held
    return consents


async def put(
    session: AsyncSession, workspace_id: UUID, consents: Iterable[tuple[str, Consents]]
) -> None:
    rows = [
        (profile_id, place, held)
        for profile_id, known in consents
        for place, held in known.current.items()
    ]
    if rows:
        await session.execute(
            _PUT,
            {
                "workspace_id": workspace_id,
                "ids": plain(profile_id for profile_id, _, _ in rows),
                "purposes": quoted(place.purpose for _, place, _ in rows),
                "channels": quoted(place.channel for _, place, _ in rows),
                "contact_points": quoted(place.contact_point for _, place, _ in rows),
                "states": quoted(held.state for _, _, held in rows),
                "times": plain(held.at for _, _, held in rows),
                "own_states": quoted(h.own and h.own.state for _, _, h in rows),
                "own_times": plain(h.own and h.own.at for _, _, h in rows),
                "repeated_states": quoted(h.repeated and h.repeated.state for _, _, h in rows),
                "repeated_times": plain(h.repeated and h.repeated.at for _, _, h in rows),
                "asked": plain(held.asked_at for _, _, held in rows),
            },
        )


async def append(
    session: AsyncSession, workspace_id: UUID, entries: Sequence[ConsentEntry], seqs: Sequence[int]
) -> None:
    """``seqs``: places in the log of the block's events, which entries name by index."""
    if entries:
        said = [e.statement for e in entries]
        await session.execute(
            _LEDGER,
            {
                "workspace_id": workspace_id,
                "ids": plain(e.profile_id for e in entries),
                "seqs": plain(seqs[e.index] for e in entries),
                "lines": plain(e.line for e in entries),
                "purposes": quoted(s.place.purpose for s in said),
                "channels": quoted(s.place.channel for s in said),
                "contact_points": quoted(s.place.contact_point for s in said),
                "states": quoted(s.state for s in said),
                "times": plain(e.at for e in entries),
                "sources": quoted(e.source for e in entries),
                "message_ids": quoted(e.message_id for e in entries),
                "wording_ids": quoted(s.wording.id if s.wording else None for s in said),
                "wording_versions": plain(s.wording.version if s.wording else None for s in said),
                "proofs": quoted(msgspec.json.encode(s.proof).decode() for s in said),
            },
        )


async def remove(session: AsyncSession, workspace_id: UUID, profile_ids: Collection[str]) -> None:
    """What counted for merged profiles; the ledger stays."""
    await session.execute(_DELETE, {"workspace_id": workspace_id, "ids": plain(profile_ids)})
