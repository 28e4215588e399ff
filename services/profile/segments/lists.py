"""Lists: segments whose members people put in and take out by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.identifiers import Policy
from services.kit.problems import InvalidRequest
from services.profile.account_segments import audience
from services.profile.arrays import quoted, statement
from services.profile.feed import store as feed
from services.profile.identity import store as identity
from services.profile.rules import memberships
from services.profile.rules import store as registered
from services.profile.rules.service import News, RuleCache
from services.profile.rules.settle import settle
from services.profile.segments import history, service
from services.profile.stream import store as stream

_OWNERS = statement("""
SELECT i.namespace, i.value, i.profile_id::text AS profile_id
FROM unnest(CAST(:namespaces AS text[]), CAST(:values AS text[])) AS wanted(namespace, value)
JOIN identifier i ON i.workspace_id = :workspace_id
  AND i.namespace = wanted.namespace AND i.value = wanted.value
""")

_IN = text("""
SELECT profile_id::text FROM membership
WHERE workspace_id = :workspace_id AND rule_id = :segment_id
  AND profile_id = ANY(CAST(:ids AS uuid[]))
""")


class Named(NamedTuple):
    """A person by an identifier, or by id where ``namespace`` is ``profile_id``."""

    namespace: str
    value: str


@dataclass(frozen=True, slots=True)
class Moved:
    """``changed`` people entered or left; the others had before. ``unknown``: places in the
    request of those nobody is known by."""

    changed: int
    unchanged: int
    unknown: list[int]


async def move(
    session: AsyncSession,
    workspace_id: UUID,
    segment_id: UUID,
    people: Sequence[Named],
    policy: Policy,
    now_ms: int,
    cache: RuleCache,
    *,
    enter: bool,
) -> Moved:
    """Put people into a list or take them out; whoever reads the list is told at once."""
    place = await stream.lock(session, workspace_id)
    segment = await service.read(session, workspace_id, segment_id)
    if segment.kind != registered.LIST:
        raise InvalidRequest.at(
            "#/path/segment_id", "This segment is made by its rule; only lists take members."
        )
    found = await _find(session, workspace_id, people, policy)
    living = list(dict.fromkeys(profile_id for profile_id in found if profile_id is not None))
    parameters = {"workspace_id": workspace_id, "segment_id": segment_id, "ids": living}
    inside = set((await session.execute(_IN, parameters)).scalars())
    key = str(segment_id)
    moved = [(profile_id, key) for profile_id in living if (profile_id in inside) != enter]
    entered, exited = (moved, []) if enter else ([], moved)
    await memberships.save(session, workspace_id, entered, exited, now_ms)
    await history.append(session, workspace_id, entered, exited, now_ms)
    news, known = News(), await cache.get(session, workspace_id, place.rules_revision)
    for profile_id, _ in moved:
        news.touched.read(known, ("segment", key), profile_id)
    settled = await settle(session, workspace_id, known, news, now_ms)
    people_moved = {profile_id for profile_id, _ in moved}
    of_accounts = await audience.follow(session, workspace_id, set(), people_moved, now_ms)
    changes = [_told(profile_id, key, now_ms, enter=enter) for profile_id, _ in moved]
    if moved:
        await feed.append(session, workspace_id, [*changes, *settled.changes, *of_accounts])
    unknown = [index for index, profile_id in enumerate(found) if profile_id is None]
    return Moved(len(moved), len(living) - len(moved), unknown)


def _told(profile_id: str, segment_id: str, now_ms: int, *, enter: bool) -> Change:
    data = {"segment_id": segment_id}
    if enter:
        return Change("segment.entered", profile_id, now_ms, data)
    return Change("segment.exited", profile_id, now_ms, data)


async def _find(
    session: AsyncSession, workspace_id: UUID, people: Sequence[Named], policy: Policy
) -> list[str | None]:
    """The living profile of each, or None."""
    normal = [
        person if person.namespace == "profile_id" else _normal(person, policy) for person in people
    ]
    ids = {person.value for person in normal if person and person.namespace == "profile_id"}
    living = await identity.canonical(session, workspace_id, ids) if ids else {}
    wanted = {person for person in normal if person and person.namespace != "profile_id"}
    parameters = {
        "workspace_id": workspace_id,
        "namespaces": quoted(person.namespace for person in wanted),
        "values": quoted(person.value for person in wanted),
    }
    rows = (await session.execute(_OWNERS, parameters)).all() if wanted else []
    owners = {Named(row.namespace, row.value): row.profile_id for row in rows}
    return [
        None if person is None else owners.get(person) or living.get(person.value)
        for person in normal
    ]


def _normal(person: Named, policy: Policy) -> Named | None:
    value = policy.normalise(person.namespace, person.value)
    return None if value is None else Named(person.namespace, value)
