"""People as rules see them, loaded for a set of profiles at once."""

from collections.abc import Collection, Set
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.arrays import plain, statement
from services.profile.consents import store as consents
from services.profile.consents.policy import standing
from services.profile.consents.policy_store import policy
from services.profile.rules import memberships
from services.profile.rules.advance import Subject
from services.rules import Person

_LOAD = statement("""
SELECT p.profile_id::text AS profile_id, p.traits::text AS traits, p.computed::text AS computed
FROM unnest(CAST(:ids AS uuid[])) AS asked(profile_id)
JOIN profile p ON p.workspace_id = :workspace_id AND p.profile_id = asked.profile_id
""")


async def load(
    session: AsyncSession,
    workspace_id: UUID,
    profile_ids: Collection[str],
    *,
    segments: Set[str],
    primary_model: str | None,
) -> dict[str, Subject]:
    """Living profiles by id, without their leaf states. ``segments``: ids of rules that are ones;
    ``primary_model``: the stage model that the rule field ``stage`` means."""
    if not profile_ids:
        return {}
    parameters = {"workspace_id": workspace_id, "ids": plain(profile_ids)}
    found = (await session.execute(_LOAD, parameters)).all()
    said = await consents.load(session, workspace_id, profile_ids)
    law = await policy(session, workspace_id)
    holds, stages = await memberships.load(session, workspace_id, profile_ids)
    decode = msgspec.json.decode
    subjects: dict[str, Subject] = {}
    for profile_id, traits, computed in found:
        mine = holds.get(profile_id, set())
        stage = stages.get(profile_id, {})
        known = decode(traits)
        mine_said = said[profile_id].current if profile_id in said else {}
        consent = standing(law, mine_said, known)
        person = Person(
            traits=known,
            computed=decode(computed),
            segments=frozenset(mine & segments),
            stage=stage.get(primary_model or ""),
            consents=consent.states,
            leaf_states={},
        )
        subjects[profile_id] = Subject(person, mine, stage, consent)
    return subjects
