"""Asks profile what is true of people, as many as there are and by as many rules."""

from collections.abc import Collection, Iterator, Sequence
from typing import TypeVar
from uuid import UUID

from services.contracts.profile import Facts, FactsRequest, LinksWanted, ProfileFacts
from services.kit.http import ServiceClient

MAX_PEOPLE = 10_000
MAX_RULES = 200
"""Of one request; see ``FactsRequest``."""

Item = TypeVar("Item")


async def facts_of(
    profile: ServiceClient,
    workspace_id: UUID,
    profile_ids: Collection[UUID],
    *,
    rule_ids: Sequence[UUID] = (),
    min_position: int = 0,
    links: LinksWanted | None = None,
) -> dict[UUID, ProfileFacts]:
    """By the ids asked for, as of ``min_position`` of the feed or later.

    Raises ``Unavailable`` while nobody answers, ``HTTPStatusError`` for any other refusal.
    """
    found: dict[UUID, ProfileFacts] = {}
    for people in _cut(sorted(profile_ids), MAX_PEOPLE):
        for rules in _cut(rule_ids, MAX_RULES) if rule_ids else [[]]:
            body = FactsRequest(
                rule_ids=rules, profile_ids=people, min_position=min_position, links=links
            )
            response = await profile.request(
                "POST",
                "/internal/v1/facts",
                workspace_id=workspace_id,
                json=body.model_dump(mode="json"),
            )
            response.raise_for_status()
            for each in Facts.model_validate_json(response.content).profiles:
                found.setdefault(each.asked_id, each).rules.update(each.rules)
    return found


def _cut(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    return (list(items[start : start + size]) for start in range(0, len(items), size))
