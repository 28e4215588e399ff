"""What is true of a set of people now, all at one position of the feed."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.problems import Unavailable
from services.profile.consents.policy import Standing
from services.profile.errors import RuleNotFound
from services.profile.feed import store as feed
from services.profile.identity import store as identity
from services.profile.recounts import service as recounts
from services.profile.rules import people, states
from services.profile.rules import store as rules
from services.profile.rules.advance import Subject
from services.profile.traits import store as trait_store
from services.rules import Person, Rule, compile_memory, fields, held, normalise

Facts = dict[str, Any]
"""A ``services.contracts.profile.Facts`` as plain values."""


async def facts(
    session: AsyncSession,
    workspace_id: UUID,
    rule_ids: Sequence[UUID],
    profile_ids: Sequence[UUID],
    now_ms: int,
    links: Callable[[str, Standing], Facts] | None = None,
) -> list[Facts]:
    """``ProfileFacts`` in the order asked; the session sees one snapshot of the database.

    ``links`` makes a profile's ``Links``.
    """
    asked = [str(profile_id) for profile_id in profile_ids]
    living = await identity.canonical(session, workspace_id, set(asked))
    ids = set(living.values())
    wanted = await _rules(session, workspace_id, rule_ids)
    leaves = _leaves(wanted)
    if leaves and await recounts.counting(session, workspace_id, ids):
        raise Unavailable("Events of some of these people are being counted anew.")
    counted = await states.load(session, workspace_id, ids, leaves)
    subjects = await _people(session, workspace_id, ids, wanted, now_ms)
    named = await _identifiers(session, workspace_id, ids)
    masked = await trait_store.masked(session, workspace_id)

    def answer() -> list[Facts]:
        for (profile_id, leaf_id), each in counted.items():
            subjects[profile_id].person.leaf_states[leaf_id] = each.state  # type: ignore[index]
        holds = {rule_id: compile_memory(rule) for rule_id, rule in wanted.items()}
        known: dict[str, Facts] = {}
        for profile_id, subject in subjects.items():
            person, consent = _shown(subject), subject.consent
            known[profile_id] = {
                "profile_id": profile_id,
                "exists": True,
                "rules": {rule_id: test(person, now_ms) for rule_id, test in holds.items()},
                "traits": {k: v for k, v in person.traits.items() if k not in masked},
                "computed": person.computed,
                "identifiers": named.get(profile_id, {}),
                "consents": person.consents,
                "presumed": sorted(consent.presumed),
                "non_personalised": consent.non_personalised,
                "segments": sorted(person.segments),
                "links": links(profile_id, consent) if links else None,
            }
        return [{"asked_id": i, **(known.get(living.get(i, "")) or _nobody(i))} for i in asked]

    return await asyncio.to_thread(answer)


async def position(session: AsyncSession, workspace_id: UUID) -> int:
    """The last offset of the feed in this session's snapshot."""
    return await feed.end(session, workspace_id)


async def _rules(
    session: AsyncSession, workspace_id: UUID, rule_ids: Sequence[UUID]
) -> dict[str, Rule]:
    """``RuleNotFound`` for an unknown one; ``Unavailable`` while one is not fully counted."""
    found = {rule.rule_id: rule for rule in await rules.find_all(session, workspace_id, rule_ids)}
    for rule_id in rule_ids:
        if rule_id not in found:
            raise RuleNotFound(f"Rule {rule_id} is not registered.", rule_id=str(rule_id))
        if found[rule_id].state == "backfilling":
            raise Unavailable(f"Past events of rule {rule_id} are still being counted.")
    return {str(rule_id): normalise(found[rule_id].definition) for rule_id in rule_ids}


def _shown(subject: Subject) -> Person:
    """Who asked not to be treated by who they are is nobody in particular to an engine."""
    person = subject.person
    if not subject.consent.non_personalised:
        return person
    # The id says nothing of anybody, and shares drawn by it stay shares.
    return Person(consents=person.consents, profile_id=person.profile_id)


def _leaves(wanted: Mapping[str, Rule]) -> set[str]:
    return {leaf.leaf_id for rule in wanted.values() for leaf in rule.leaves}


def _nobody(profile_id: str) -> Facts:
    return {
        "profile_id": profile_id,
        "exists": False,
        "rules": {},
        "traits": {},
        "computed": {},
        "identifiers": {},
        "consents": {},
        "presumed": [],
        "non_personalised": False,
        "segments": [],
        "links": None,
    }


async def _people(
    session: AsyncSession,
    workspace_id: UUID,
    ids: set[str],
    wanted: Mapping[str, Rule],
    now_ms: int,
) -> dict[str, Subject]:
    definitions = await rules.definitions(session, workspace_id)
    found = await people.read(
        session,
        workspace_id,
        ids,
        held={node.key for rule in wanted.values() for node in held(rule)},
        read_accounts=any(s == "account" for rule in wanted.values() for s, _ in fields(rule)),
        now_ms=now_ms,
    )
    return found.subjects(
        {d.key for d in definitions if d.kind == "segment"},
        next((d.key for d in definitions if d.kind == "model"), None),
    )


async def _identifiers(
    session: AsyncSession, workspace_id: UUID, ids: set[str]
) -> dict[str, dict[str, list[str]]]:
    named: dict[str, dict[str, list[str]]] = {}
    for link in reversed(await identity.identifiers_of(session, workspace_id, ids)):
        named.setdefault(link.profile_id, {}).setdefault(link.namespace, []).append(link.value)
    return named
