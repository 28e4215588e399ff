"""The identifiers of an event from the fields that name them. Pure.

Ingestion calls it when an event comes in, the archive when it makes the event again from its row:
both must find the same, or a replay would make other people.
"""

from functools import lru_cache

import msgspec

from services.contracts.events import Event
from services.identifiers import BUILT_IN, Identifier, Policy

_list = msgspec.json.Decoder(list[Identifier])


@lru_cache(maxsize=65_536)
def normalised(policy: Policy, namespace: str, raw: str) -> str:
    """Empty where ``raw`` identifies nobody."""
    return policy.normalise(namespace, raw) or ""


def identifiers(
    user_id: str,
    email: str,
    phone: str,
    anonymous_id: str,
    previous_id: str,
    policy: Policy = BUILT_IN,
) -> list[Identifier]:
    """In the order of the built-in policy; ``previous_id`` as it was sent, everything else
    normalised, empty where there is none."""
    found = [("user_id", user_id)] if user_id else []
    if email:
        found.append(("email", email))
    if phone:
        found.append(("phone", phone))
    if anonymous_id:
        found.append(("anonymous_id", anonymous_id))
    if previous_id:
        # What an alias names is an id of before the person was known; were it a known one, nothing
        # may join the two.
        before = ("anonymous_id", normalised(policy, "anonymous_id", previous_id))
        if before[1] and before not in found:
            found.append(before)
    return found


def beside_fields(event: Event) -> str:
    """What its fields do not tell of an event's identifiers: all of them as JSON where a policy of
    the workspace's own or external ids made others than ``identifiers`` finds, else empty."""
    named = event.identifiers
    email, phone = first(named, "email"), first(named, "phone")
    found = identifiers(event.user_id, email, phone, event.anonymous_id, event.previous_id)
    return "" if found == named else msgspec.json.encode(named).decode()


def again(
    user_id: str, email: str, phone: str, anonymous_id: str, previous_id: str, beside: str
) -> list[Identifier]:
    """The identifiers of an event from its fields and what ``beside_fields`` said."""
    if beside:
        return _list.decode(beside)
    return identifiers(user_id, email, phone, anonymous_id, previous_id)


def first(named: list[Identifier], namespace: str) -> str:
    """The value of the highest priority in a namespace; empty where there is none."""
    return next((value for found, value in named if found == namespace), "")
