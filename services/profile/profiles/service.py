"""What may happen to a profile besides what events tell of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.identifiers import Policy
from services.kit.ids import uuid7
from services.kit.postgres import workspace_tx
from services.kit.problems import InvalidRequest
from services.profile.consents import store as consent_store
from services.profile.consents.ledger import Consents
from services.profile.errors import ProfileNotFound
from services.profile.identity import store as identity
from services.profile.identity.store import Linked
from services.profile.identity_policy.cache import Policies
from services.profile.profiles import store
from services.profile.stream.say import Speaker, naming
from services.profile.traits import check
from services.profile.traits.policy import API
from services.profile.traits.store import PolicyCache

_CONTACTS = ("email", "phone")


async def canonical(session: AsyncSession, workspace_id: UUID, profile_id: UUID) -> UUID:
    """The living profile behind an id, or ``ProfileNotFound``."""
    asked = str(profile_id)
    found = (await identity.canonical(session, workspace_id, [asked])).get(asked)
    if found is None:
        raise not_found(profile_id)
    return UUID(found)


async def living(session: AsyncSession, workspace_id: UUID, ids: Collection[UUID]) -> set[UUID]:
    """The living profiles behind ids; there are none behind unknown ones."""
    asked = [str(each) for each in ids]
    return {
        UUID(each) for each in (await identity.canonical(session, workspace_id, asked)).values()
    }


@dataclass(frozen=True, slots=True)
class Writer:
    """What a change of traits through the API needs."""

    speaker: Speaker
    policies: PolicyCache
    identity_policies: Policies


async def change_traits(
    writer: Writer, workspace_id: UUID, profile_id: UUID, said: Mapping[str, Any], *, merge: bool
) -> bool:
    """Says traits in the log; True when profiles know it, False where that takes long.

    ``merge``: objects are merged into those that are known (RFC 7396) instead of replacing them.
    ``InvalidRequest`` names every trait that cannot be taken, and nothing is changed.
    """
    async with workspace_tx(writer.speaker.sessionmaker, workspace_id) as session:
        call = await _call(session, writer, workspace_id, profile_id, said, merge)
    return await writer.speaker.say(workspace_id, [call], whole=False)


async def _call(
    session: AsyncSession,
    writer: Writer,
    workspace_id: UUID,
    profile_id: UUID,
    said: Mapping[str, Any],
    merge: bool,
) -> dict[str, Any]:
    """The identify call that says it."""
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
    found = check.objections(said, rules, known=known, agreed=consents.current)
    check.refuse(found, "#/traits")
    call = {"type": "identify", "messageId": f"{API}-{uuid7()}", **named}
    call["traits"] = {**named.get("traits", {}), **said}
    return call


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


def not_found(profile_id: UUID) -> ProfileNotFound:
    return ProfileNotFound(f"Profile {profile_id} does not exist.", profile_id=str(profile_id))
