"""People as rules see them, loaded for a set of profiles at once."""

from collections.abc import Collection, Set
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.accounts import primary as accounts
from services.profile.arrays import plain, statement
from services.profile.computed import values
from services.profile.consents import store as consents
from services.profile.consents.policy import standing
from services.profile.consents.policy_store import policy
from services.profile.rules import memberships, since
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
    held: Collection[str],
    now_ms: int,
    read_accounts: bool = True,
) -> dict[str, Subject]:
    """Living profiles by id, without their leaf states. ``segments``: ids of rules that are ones;
    ``primary_model``: the stage model that the rule field ``stage`` means; ``held``: ids of rules
    of which it is wanted since when they hold; ``read_accounts``: False where no rule asks for
    them, which are dearer to find than all the rest."""
    if not profile_ids:
        return {}
    parameters = {"workspace_id": workspace_id, "ids": plain(profile_ids)}
    found = (await session.execute(_LOAD, parameters)).all()
    said = await consents.load(session, workspace_id, profile_ids)
    law = await policy(session, workspace_id)
    holds, stages = await memberships.load(session, workspace_id, profile_ids)
    timed = await since.load(session, workspace_id, profile_ids, held)
    belongs = await accounts.load(session, workspace_id, profile_ids) if read_accounts else {}
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
            computed=values.at(decode(computed), now_ms) if computed != "{}" else {},
            segments=frozenset(mine & segments),
            stage=stage.get(primary_model or ""),
            consents=consent.states,
            account=belongs.get(profile_id, {}),
            leaf_states={},
            profile_id=profile_id,
        )
        subject = subjects[profile_id] = Subject(person, mine, stage, consent=consent)
        person.since = subject.since
    for (profile_id, rule_id), (since_ms, due) in timed.items():
        subject = subjects[profile_id]
        subject.since[rule_id], subject.dues[rule_id] = since_ms, due
    return subjects
