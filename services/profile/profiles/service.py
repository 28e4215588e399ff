"""What may happen to a profile besides what events tell of it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.tracking import SaidAccepted
from services.identifiers import Policy
from services.kit.feeds import Bell
from services.kit.http import ServiceClient
from services.kit.ids import uuid7
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.problems import InvalidRequest
from services.kit.waiting import came
from services.profile.consents import store as consent_store
from services.profile.consents.ledger import Consents
from services.profile.errors import ProfileNotFound
from services.profile.identity import store as identity
from services.profile.identity.store import Linked
from services.profile.identity_policy.cache import Policies
from services.profile.profiles import store
from services.profile.traits import check
from services.profile.traits.policy import API
from services.profile.traits.sending import naming, send
from services.profile.traits.store import PolicyCache

PATIENCE_SECONDS = 5.0
"""How long a change that is in the log is waited for."""
_LOOK_SECONDS = 0.25
"""Another process may be the one that applies the log, and rings no bell here."""
_CONTACTS = ("email", "phone")


async def canonical(session: AsyncSession, workspace_id: UUID, profile_id: UUID) -> UUID:
    """The living profile behind an id, or ``ProfileNotFound``."""
    asked = str(profile_id)
    found = (await identity.canonical(session, workspace_id, [asked])).get(asked)
    if found is None:
        raise not_found(profile_id)
    return UUID(found)


@dataclass(frozen=True, slots=True)
class Writer:
    """What a change of traits through the API needs."""

    sessionmaker: SessionMaker
    ingest: ServiceClient
    bell: Bell
    policies: PolicyCache
    identity_policies: Policies


async def change_traits(
    writer: Writer, workspace_id: UUID, profile_id: UUID, said: Mapping[str, Any], *, merge: bool
) -> bool:
    """Says traits in the log and waits until the profile has them; False where that takes long.

    ``merge``: objects are merged into those that are known (RFC 7396) instead of replacing them.
    ``InvalidRequest`` names every trait that cannot be taken, and nothing is changed.
    """
    async with workspace_tx(writer.sessionmaker, workspace_id) as session:
        call, priority = await _call(session, writer, workspace_id, profile_id, said, merge)
    accepted = await send(writer.ingest, workspace_id, API, [call])
    occurred_at = _accepted(accepted)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_SECONDS
    while True:
        rung = writer.bell.listen(str(workspace_id))
        async with workspace_tx(writer.sessionmaker, workspace_id) as session:
            living = str(await canonical(session, workspace_id, profile_id))
            known = (await store.load_traits(session, workspace_id, [living]))[living].meta
        if all(k in known and known[k].rank >= (priority, occurred_at) for k in said):
            return True
        remaining = deadline - loop.time()
        if remaining <= 0:
            return False
        await came(rung, min(remaining, _LOOK_SECONDS))


async def _call(
    session: AsyncSession,
    writer: Writer,
    workspace_id: UUID,
    profile_id: UUID,
    said: Mapping[str, Any],
    merge: bool,
) -> tuple[dict[str, Any], int]:
    """The identify call that says it, and the priority of the API."""
    living = str(await canonical(session, workspace_id, profile_id))
    known = (await store.load_traits(session, workspace_id, [living]))[living]
    consents = (await consent_store.load(session, workspace_id, [living])).get(living, Consents())
    rules = (await writer.policies.current(session, workspace_id)).latest
    if merge:
        said = {
            key: None if value is None else check.merged(known.values.get(key), value)
            for key, value in said.items()
        }
    policy = await writer.identity_policies.of(session, workspace_id)
    named = _named(await identity.identifiers_of(session, workspace_id, [living]), said, policy)
    found = check.objections(said, rules, known=known, granted=consents.current)
    check.refuse(found, "#/traits")
    call = {"type": "identify", "messageId": f"{API}-{uuid7()}", **named}
    call["traits"] = {**named.get("traits", {}), **said}
    return call, rules.priority(API)


def _named(linked: Sequence[Linked], said: Mapping[str, Any], policy: Policy) -> dict[str, Any]:
    """How a call names the person, in the order of priority but ids first: they are no traits.
    What the policy reads otherwise today names nobody."""
    values = {
        link.namespace: link.value
        for link in linked
        if policy.normalise(link.namespace, link.value) == link.value
    }
    for namespace in policy.names:
        if namespace in values and namespace not in _CONTACTS:
            return naming({namespace: values[namespace]})
    for contact in _CONTACTS:
        if contact in values:
            value = values[contact]
            if policy.normalise(contact, said.get(contact, value)) != value:
                detail = f"The {contact} is all this person is known by: another would be another."
                raise InvalidRequest.at(f"#/traits/{contact}", detail)
            return {"traits": {contact: value}}
    raise InvalidRequest.at(
        "#/path/profile_id", "Nothing that an event could name this person by is known."
    )


def _accepted(answer: SaidAccepted) -> int:
    """When it counts as said, in ms."""
    if answer.refused:
        each = answer.refused[0]
        raise InvalidRequest.at("#" + (each.pointer or "/traits"), each.detail)
    (occurred_at,) = answer.occurred_at
    assert occurred_at is not None
    return occurred_at


def not_found(profile_id: UUID) -> ProfileNotFound:
    return ProfileNotFound(f"Profile {profile_id} does not exist.", profile_id=str(profile_id))
