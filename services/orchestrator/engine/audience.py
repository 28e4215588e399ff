"""For whom an entry's audience holds: asked before a block is applied, outside its transaction."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from services.contracts.changes import Change
from services.kit.http import ServiceClient
from services.orchestrator.engine.facts import facts_of
from services.orchestrator.engine.library import Running
from services.orchestrator.engine.triggers import triggers
from services.orchestrator.journeys.compiled import AUDIENCE

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
    known = await facts_of(
        profile, workspace_id, set(profile_ids), rule_ids=rule_ids, min_position=position
    )
    found: dict[UUID, dict[UUID, bool]] = {}
    for each in known.values():
        for known_as in {each.asked_id, each.profile_id}:
            found.setdefault(known_as, {}).update(each.rules)
    return found
