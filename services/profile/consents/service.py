"""What may happen to consents: statements through the API, and what all statements come to.

Every statement becomes an event in tracking's log, so that a replay of the log makes the same
ledger. A withdrawal closes the orchestrator's send gate first: no message is claimed between it
and the moment the log has come round.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.orchestrator import GateClosing, Withdrawal
from services.kit.http import ServiceClient
from services.kit.ids import uuid7
from services.kit.postgres import workspace_tx
from services.profile.clock import Clock, from_ms, to_ms
from services.profile.consents import policy_store, store
from services.profile.consents.decide import Said
from services.profile.consents.ledger import ANY, ConsentState, Place
from services.profile.consents.policy import Policy, Standing, standing
from services.profile.consents.statements import EVENTS
from services.profile.errors import ProfileNotFound
from services.profile.identity import store as identity
from services.profile.profiles import service as profiles
from services.profile.profiles import store as profile_store
from services.profile.stream.say import Speaker

_NAMES = {state: name for name, state in EVENTS.items()}
_BY = {"user_id": "userId", "anonymous_id": "anonymousId"}
_CONTACTS = {"email": "email", "phone": "sms"}
"""Channel by the namespace of its contact points."""


@dataclass(frozen=True)
class Desk:
    """What takes statements."""

    speaker: Speaker
    orchestrator: ServiceClient
    clock: Clock


@dataclass(frozen=True, slots=True)
class Wish:
    """A statement to be made. ``proof``: properties of its event besides."""

    place: Place
    state: ConsentState
    proof: Mapping[str, Any]
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    profile_id: UUID
    message_ids: list[str]
    at: datetime
    applied: bool


def granting(
    said: Said,
    purpose: str,
    channels: Iterable[str] = (ANY,),
    *,
    state: ConsentState = "granted",
    **proof: object,
) -> list[Wish]:
    """What makes a yes count: a grant on each of the channels, and one wherever a no stands, which
    no broader grant undoes. ``state`` ``pending``: the yes has to be confirmed."""
    places = {Place(purpose, channel): None for channel in channels}
    places |= {
        place: None
        for place, held in said.items()
        if place.purpose == purpose and held.state == "withdrawn"
    }
    return [Wish(place, state, proof) for place in places]


def withdrawing(purpose: str, **proof: object) -> list[Wish]:
    """A no, to every channel."""
    return [Wish(Place(purpose), "withdrawn", proof)]


async def state(desk: Desk, workspace_id: UUID, profile_id: UUID, wishes: Sequence[Wish]) -> Made:
    """Make statements for a person, in this order. ``ProfileNotFound``, ``Unavailable``."""
    async with workspace_tx(desk.speaker.sessionmaker, workspace_id) as session:
        living = await profiles.canonical(session, workspace_id, profile_id)
        named = await _named(session, workspace_id, living)
    now_ms = to_ms(desk.clock.now())
    await _close_gate(desk, workspace_id, living, wishes, now_ms)
    # Gate and log must mean the same millisecond.
    now = from_ms(now_ms)
    ids = [wish.message_id or str(uuid7()) for wish in wishes]
    calls = [
        {
            "type": "track",
            "event": _NAMES[wish.state],
            **named,
            "messageId": message_id,
            "timestamp": now.isoformat(timespec="milliseconds"),
            "channel": "server",
            "properties": {**wish.place._asdict(), **wish.proof},
        }
        for wish, message_id in zip(wishes, ids, strict=True)
    ]
    applied = await desk.speaker.say(workspace_id, calls)
    return Made(living, ids, now, applied)


async def _named(session: AsyncSession, workspace_id: UUID, living: UUID) -> dict[str, str]:
    """The identifier an event names the person by: the known one, else the latest."""
    links = await identity.identifiers_of(session, workspace_id, [str(living)])
    links.sort(key=lambda link: link.namespace == "user_id")
    for link in reversed(links):
        if link.namespace in _BY:
            return {_BY[link.namespace]: link.value}
    raise ProfileNotFound(
        f"Profile {living} has neither a user_id nor an anonymous_id to speak of it by.",
        profile_id=str(living),
    )


async def _close_gate(
    desk: Desk, workspace_id: UUID, living: UUID, wishes: Sequence[Wish], at: int
) -> None:
    ending = [
        Withdrawal(profile_id=living, at=at, **wish.place._asdict())
        for wish in wishes
        if wish.state == "withdrawn"
    ]
    if ending:
        response = await desk.orchestrator.request(
            "POST",
            "/internal/v1/gate/withdrawals",
            workspace_id=workspace_id,
            json=GateClosing(withdrawals=ending).model_dump(mode="json"),
        )
        response.raise_for_status()


@dataclass(frozen=True, slots=True)
class Picture:
    """All that counts for one person now."""

    profile_id: UUID
    said: Said
    law: Policy
    traits: Mapping[str, Any]
    standing: Standing
    contact_points: list[tuple[str, str]]
    """(channel, address)."""


async def picture(session: AsyncSession, workspace_id: UUID, profile_id: UUID) -> Picture:
    """``ProfileNotFound``."""
    living = await profiles.canonical(session, workspace_id, profile_id)
    ids = [str(living)]
    traits = (await profile_store.load_traits(session, workspace_id, ids))[ids[0]].values
    known = (await store.load(session, workspace_id, ids)).get(ids[0])
    law = await policy_store.policy(session, workspace_id)
    said = law.counting(known.current, traits) if known else {}
    links = await identity.identifiers_of(session, workspace_id, ids)
    points = {
        (_CONTACTS[link.namespace], link.value) for link in links if link.namespace in _CONTACTS
    }
    points |= {
        (place.channel, place.contact_point)
        for place in said
        if ANY not in (place.channel, place.contact_point)
    }
    return Picture(living, said, law, traits, standing(law, said, traits), sorted(points))
