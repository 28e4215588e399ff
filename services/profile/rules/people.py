"""People as rules see them, loaded for a set of profiles at once."""

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.accounts import primary as accounts
from services.profile.arrays import plain, statement
from services.profile.computed import values
from services.profile.consents import store as consents
from services.profile.consents.ledger import Consents
from services.profile.consents.policy import Policy, standing
from services.profile.consents.policy_store import policy
from services.profile.rules import memberships, since
from services.profile.rules.advance import Subject
from services.rules import Person

_LOAD = statement("""
SELECT p.profile_id::text AS profile_id, p.traits::text AS traits, p.computed::text AS computed
FROM unnest(CAST(:ids AS uuid[])) AS asked(profile_id)
JOIN profile p ON p.workspace_id = :workspace_id AND p.profile_id = asked.profile_id
""")


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored of people, as it was read; ``subjects`` can be called in a thread."""

    rows: Sequence[Any]
    said: memberships.Said
    consents: Mapping[str, Consents]
    law: Policy
    timed: Mapping[memberships.Pair, tuple[int, int | None]]
    accounts: Mapping[str, Mapping[str, Any]]
    now_ms: int

    def subjects(self, segments: Set[str], primary_model: str | None) -> dict[str, Subject]:
        """People by id, without their leaf states. ``segments``: ids of rules that are ones;
        ``primary_model``: the stage model that the rule field ``stage`` means."""
        decode = msgspec.json.decode
        holds, stages = self.said.holds(), self.said.by_model()
        found: dict[str, Subject] = {}
        for profile_id, traits, computed in self.rows:
            mine = holds.get(profile_id) or set()
            stage = stages.get(profile_id) or {}
            known = decode(traits) if traits != "{}" else {}
            consents = self.consents.get(profile_id)
            consent = standing(self.law, consents.current if consents else {}, known)
            person = Person(
                traits=known,
                computed=values.at(decode(computed), self.now_ms) if computed != "{}" else {},
                segments=frozenset(mine & segments),
                stage=stage.get(primary_model or ""),
                consents=consent.states,
                account=self.accounts.get(profile_id, {}),
                leaf_states={},
                profile_id=profile_id,
            )
            subject = found[profile_id] = Subject(person, mine, stage, consent=consent)
            person.since = subject.since
        for (profile_id, rule_id), (since_ms, due) in self.timed.items():
            subject = found[profile_id]
            subject.since[rule_id], subject.dues[rule_id] = since_ms, due
        return found


async def read(
    session: AsyncSession,
    workspace_id: UUID,
    profile_ids: Collection[str],
    *,
    held: Collection[str],
    now_ms: int,
    read_accounts: bool = True,
) -> Stored:
    """Those of the profiles that live. ``held``: ids of rules of which it is wanted since when they
    hold; ``read_accounts``: False where no rule asks for them, which are dearer to find than all
    the rest."""
    law = await policy(session, workspace_id)
    if not profile_ids:
        return Stored((), memberships.Said((), ()), {}, law, {}, {}, now_ms)
    parameters = {"workspace_id": workspace_id, "ids": plain(profile_ids)}
    return Stored(
        (await session.execute(_LOAD, parameters)).all(),
        await memberships.load(session, workspace_id, profile_ids),
        await consents.load(session, workspace_id, profile_ids),
        law,
        await since.load(session, workspace_id, profile_ids, held),
        await accounts.load(session, workspace_id, profile_ids) if read_accounts else {},
        now_ms,
    )
