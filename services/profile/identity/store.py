"""SQL of the identity graph: whole blocks at a time."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.ids import uuid7
from services.profile.arrays import plain, quoted, statement
from services.profile.identity.nodes import Identifier, Node

_LOAD = statement("""
SELECT i.namespace, i.value, i.profile_id::text AS profile_id, i.origin_id::text AS origin_id,
       p.user_id, p.created_seq, p.identifier_count
FROM unnest(CAST(:namespaces AS text[]), CAST(:values AS text[])) AS wanted(namespace, value)
JOIN identifier i ON i.workspace_id = :workspace_id
  AND i.namespace = wanted.namespace AND i.value = wanted.value
JOIN profile p ON p.workspace_id = :workspace_id AND p.profile_id = i.profile_id
""")

_HISTORY = statement("""
SELECT asked.profile_id::text AS profile_id, held.namespace, held.times,
       (SELECT count(*) FROM alias a
        WHERE a.workspace_id = :workspace_id AND a.profile_id = asked.profile_id) AS merge_count
FROM unnest(CAST(:profile_ids AS uuid[])) AS asked(profile_id)
JOIN LATERAL (
  SELECT namespace, array_agg(CAST(extract(epoch FROM linked_at) * 1000 AS bigint)
                              ORDER BY linked_at) AS times
  FROM identifier i
  WHERE i.workspace_id = :workspace_id AND i.profile_id = asked.profile_id
  GROUP BY namespace
) held ON true
""")

_OF_PROFILES = statement("""
SELECT i.namespace, i.value, i.subject_id::text AS subject_id, i.profile_id::text AS profile_id,
       i.origin_id::text AS origin_id
FROM unnest(CAST(:profile_ids AS uuid[])) AS asked(profile_id)
JOIN identifier i ON i.workspace_id = :workspace_id AND i.profile_id = asked.profile_id
ORDER BY i.linked_at, i.namespace, i.value
""")

_LINK = statement("""
INSERT INTO identifier
  (workspace_id, namespace, value, subject_id, profile_id, origin_id, linked_at)
SELECT :workspace_id, namespace, value, subject_id, profile_id, origin_id,
       to_timestamp(at / 1000.0)
FROM unnest(CAST(:namespaces AS text[]), CAST(:values AS text[]), CAST(:subjects AS uuid[]),
            CAST(:profiles AS uuid[]), CAST(:origins AS uuid[]), CAST(:times AS bigint[]))
  AS new(namespace, value, subject_id, profile_id, origin_id, at)
""")

_MOVE = statement("""
UPDATE identifier i SET profile_id = m.winner
FROM unnest(CAST(:losers AS uuid[]), CAST(:winners AS uuid[])) AS m(loser, winner)
WHERE i.workspace_id = :workspace_id AND i.profile_id = m.loser
""")

_REPOINT = statement("""
UPDATE alias a SET profile_id = m.winner
FROM unnest(CAST(:losers AS uuid[]), CAST(:winners AS uuid[])) AS m(loser, winner)
WHERE a.workspace_id = :workspace_id AND a.profile_id = m.loser
""")

_ALIAS = statement("""
INSERT INTO alias (workspace_id, alias_id, profile_id)
SELECT :workspace_id, loser, winner
FROM unnest(CAST(:losers AS uuid[]), CAST(:winners AS uuid[])) AS m(loser, winner)
""")

_MERGE = statement("""
INSERT INTO merge
  (workspace_id, merge_id, profile_id, merged_id, survivor_origin_id, merged_origin_id, message_id,
   merged_at, snapshot, survivor, reason, decided_by)
SELECT :workspace_id, merge_id, winner, loser, winner_origin, loser_origin, message_id,
       to_timestamp(at / 1000.0), CAST(snapshot AS jsonb), CAST(survivor AS jsonb), reason,
       decided_by
FROM unnest(CAST(:ids AS uuid[]), CAST(:winners AS uuid[]), CAST(:losers AS uuid[]),
            CAST(:winner_origins AS uuid[]), CAST(:loser_origins AS uuid[]),
            CAST(:message_ids AS text[]), CAST(:times AS bigint[]), CAST(:snapshots AS text[]),
            CAST(:survivors AS text[]), CAST(:reasons AS text[]), CAST(:deciders AS text[]))
  AS new(merge_id, winner, loser, winner_origin, loser_origin, message_id, at, snapshot, survivor,
         reason, decided_by)
""")

_CANONICAL = statement("""
SELECT asked::text AS asked, coalesce(a.profile_id, p.profile_id, i.profile_id)::text AS profile_id
FROM unnest(CAST(:ids AS uuid[])) AS asked
LEFT JOIN alias a ON a.workspace_id = :workspace_id AND a.alias_id = asked
LEFT JOIN profile p ON p.workspace_id = :workspace_id AND p.profile_id = asked
LEFT JOIN LATERAL (
  SELECT profile_id FROM identifier
  WHERE workspace_id = :workspace_id AND subject_id = asked LIMIT 1
) i ON true
WHERE coalesce(a.profile_id, p.profile_id, i.profile_id) IS NOT NULL
""")


@dataclass(frozen=True, slots=True)
class Linked:
    """An identifier and the profile it belongs to; ``at`` in ms.

    ``origin_id``: the profile it would belong to had nothing ever been merged.
    """

    namespace: str
    value: str
    subject_id: str
    profile_id: str
    origin_id: str
    at: int = 0


@dataclass(frozen=True, slots=True)
class Cause:
    """What made two profiles one: an event, or a person (``decided_by``) for a ``reason``.

    ``at`` in ms. ``message_id`` is empty for a person's decision.
    """

    message_id: str
    at: int
    merge_id: UUID = field(default_factory=uuid7)
    reason: str | None = None
    decided_by: str | None = None


@dataclass(frozen=True, slots=True)
class MergeRecord:
    """What the ledger keeps of a merge: the loser (``snapshot``) and the survivor as they were.

    The origins say between which two profiles, of all that the two sides ever were, the edge lies.
    """

    winner: str
    loser: str
    winner_origin: str
    loser_origin: str
    cause: Cause
    snapshot: Mapping[str, object]
    survivor: Mapping[str, object]


async def load(
    session: AsyncSession, workspace_id: UUID, identifiers: Collection[Identifier]
) -> tuple[dict[Identifier, str], list[Node], dict[Identifier, str]]:
    """Owners of the identifiers that are known, those owners, and the identifiers' origins."""
    found = await session.execute(
        _LOAD,
        {
            "workspace_id": workspace_id,
            "namespaces": quoted([namespace for namespace, _ in identifiers]),
            "values": quoted([value for _, value in identifiers]),
        },
    )
    owners: dict[Identifier, str] = {}
    origins: dict[Identifier, str] = {}
    nodes: dict[str, Node] = {}
    for namespace, value, profile_id, origin_id, user_id, created_seq, count in found.all():
        owners[namespace, value] = profile_id
        origins[namespace, value] = origin_id
        if profile_id not in nodes:
            nodes[profile_id] = Node(profile_id, user_id, created_seq, count)
    return owners, list(nodes.values()), origins


async def load_history(session: AsyncSession, workspace_id: UUID, nodes: Collection[Node]) -> None:
    """Fills in what limits are asked of: when identifiers were linked, and how often it merged."""
    by_id = {node.profile_id: node for node in nodes}
    found = await session.execute(
        _HISTORY, {"workspace_id": workspace_id, "profile_ids": plain(by_id)}
    )
    for profile_id, namespace, times, merge_count in found.all():
        by_id[profile_id].linked[namespace] = times
        by_id[profile_id].merge_count = merge_count


async def identifiers_of(
    session: AsyncSession, workspace_id: UUID, profile_ids: Collection[str]
) -> list[Linked]:
    """All identifiers of some profiles, the first linked first."""
    found = await session.execute(
        _OF_PROFILES, {"workspace_id": workspace_id, "profile_ids": plain(profile_ids)}
    )
    return [Linked(r.namespace, r.value, r.subject_id, r.profile_id, r.origin_id) for r in found]


async def link(session: AsyncSession, workspace_id: UUID, links: Sequence[Linked]) -> None:
    await session.execute(
        _LINK,
        {
            "workspace_id": workspace_id,
            "namespaces": quoted([x.namespace for x in links]),
            "values": quoted([x.value for x in links]),
            "subjects": plain([x.subject_id for x in links]),
            "profiles": plain([x.profile_id for x in links]),
            "origins": plain([x.origin_id for x in links]),
            "times": plain([x.at for x in links]),
        },
    )


async def merge(
    session: AsyncSession, workspace_id: UUID, became: Mapping[str, str], records: list[MergeRecord]
) -> None:
    """Losers (keys) become aliases of the living profile that ended up with them (values)."""
    pairs = {
        "workspace_id": workspace_id,
        "losers": plain(became),
        "winners": plain(became.values()),
    }
    for each in (_MOVE, _REPOINT, _ALIAS):
        await session.execute(each, pairs)
    await session.execute(
        _MERGE,
        {
            "workspace_id": workspace_id,
            "ids": plain([r.cause.merge_id for r in records]),
            "winners": plain([r.winner for r in records]),
            "losers": plain([r.loser for r in records]),
            "winner_origins": plain([r.winner_origin for r in records]),
            "loser_origins": plain([r.loser_origin for r in records]),
            "message_ids": quoted([r.cause.message_id for r in records]),
            "times": plain([r.cause.at for r in records]),
            "snapshots": quoted([msgspec.json.encode(r.snapshot).decode() for r in records]),
            "survivors": quoted([msgspec.json.encode(r.survivor).decode() for r in records]),
            "reasons": quoted([r.cause.reason for r in records]),
            "deciders": quoted([r.cause.decided_by for r in records]),
        },
    )


async def canonical(
    session: AsyncSession, workspace_id: UUID, ids: Collection[str]
) -> dict[str, str]:
    """The living profile behind ids of profiles, merged profiles or subjects; unknown ones lack."""
    found = await session.execute(_CANONICAL, {"workspace_id": workspace_id, "ids": plain(ids)})
    return {row.asked: row.profile_id for row in found}
