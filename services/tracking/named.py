"""The identifiers of an event from the fields that name them. Pure.

Ingestion calls it when an event comes in, the archive when it makes the event again from its row:
both must find the same, or a replay would make other people.
"""

from functools import lru_cache

from services.identifiers import normalise


@lru_cache(maxsize=65_536)
def normalised(namespace: str, raw: str) -> str:
    """Empty where ``raw`` identifies nobody."""
    return normalise(namespace, raw) or ""


def identifiers(
    user_id: str, email: str, phone: str, anonymous_id: str, previous_id: str
) -> list[tuple[str, str]]:
    """In the order of ``services.identifiers.PRIORITY``; ``previous_id`` as it was sent, everything
    else normalised, empty where there is none."""
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
        before = ("anonymous_id", normalised("anonymous_id", previous_id))
        if before[1] and before not in found:
            found.append(before)
    return found
