"""Takes a person's entries out of a packed log row; the others keep their places. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.contracts.events import Event, Outcome
from services.kit.feeds import pack, unpack
from services.tracking.log.port import is_outcomes

_NOBODY = str(UUID(int=0))


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A row's new bytes and bitmap of what readers leave out, and how many entries went."""

    data: bytes
    drop: bytes
    erased: int


def without(
    partition: str, data: bytes, drop: bytes | None, subjects: Collection[str]
) -> Rewritten | None:
    """None where the row holds nothing of ``subjects``."""
    outcomes = is_outcomes(partition)
    entries: list[Any] = unpack(data, Outcome if outcomes else Event)
    owners = [entry.profile_id if outcomes else entry.subject_id for entry in entries]
    theirs = [index for index, owner in enumerate(owners) if owner in subjects]
    if not theirs:
        return None
    bits = bytearray(drop or bytes((len(entries) + 7) // 8))
    for index in theirs:
        entries[index] = _outcome() if outcomes else _event()
        bits[index >> 3] |= 1 << (index & 7)
    return Rewritten(pack(entries), bytes(bits), len(theirs))


def _event() -> Event:
    return Event(
        message_id="",
        source_id="",
        type="track",
        event="",
        subject_id=_NOBODY,
        identifiers=[],
        user_id="",
        anonymous_id="",
        occurred_at=0,
        original_at=0,
        received_at=0,
    )


def _outcome() -> Outcome:
    return Outcome(message_id="", event="", profile_id=_NOBODY, occurred_at=0)
