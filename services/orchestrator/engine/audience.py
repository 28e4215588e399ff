"""For whom an entry's audience holds: asked before a block is applied, outside its transaction."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from services.contracts.changes import Change
from services.contracts.profile import Facts, FactsRequest
from services.kit.http import ServiceClient
from services.orchestrator.engine.library import Running
from services.orchestrator.engine.triggers import triggers
from services.orchestrator.journeys.compiled import AUDIENCE

MAX_PEOPLE = 10_000
MAX_RULES = 200

Audience = Mapping[UUID, Mapping[UUID, bool]]
"""By profile, asked and canonical ids alike, which audience rules hold."""


async def of_changes(
    profile: ServiceClient,
    workspace_id: UUID,
    running: Sequence[Running],
    changes: Iterable[Change],
    position: int,
) -> Audience:
    """Of everybody whom a change of this block may let into a journey that has an audience."""
    picky = [each for each in running if AUDIENCE in each.compiled.rule_ids]
    if not picky:
        return {}
    wanted = triggers(picky)
    people = {UUID(c.profile_id) for c in changes if wanted.touches(c)}
    rules = [each.compiled.rule_ids[AUDIENCE] for each in picky]
    return await of_people(profile, workspace_id, rules, people, position)


async def of_people(
    profile: ServiceClient,
    workspace_id: UUID,
    rule_ids: Sequence[UUID],
    profile_ids: Iterable[UUID],
    position: int = 0,
) -> Audience:
    """What holds at least as of this position of the feed. ``Unavailable`` while nobody says."""
    found: dict[UUID, dict[UUID, bool]] = {}
    people = sorted(profile_ids)
    for rules in _cut(rule_ids, MAX_RULES):
        for some in _cut(people, MAX_PEOPLE):
            body = FactsRequest(rule_ids=rules, profile_ids=some, min_position=position)
            response = await profile.request(
                "POST",
                "/internal/v1/facts",
                workspace_id=workspace_id,
                json=body.model_dump(mode="json"),
            )
            response.raise_for_status()
            for each in Facts.model_validate_json(response.content).profiles:
                for known_as in {each.asked_id, each.profile_id}:
                    found.setdefault(known_as, {}).update(each.rules)
    return found


def _cut(items: Sequence[UUID], size: int) -> Iterable[list[UUID]]:
    return (list(items[start : start + size]) for start in range(0, len(items), size))
