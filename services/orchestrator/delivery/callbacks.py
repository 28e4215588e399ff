"""What providers say of messages afterwards: how a kind of channel verifies and reads it."""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from services.kit.signature import signature
from services.orchestrator.receipts.model import NewReceipt, ReceiptKind

TOLERANCE_S = 300
"""How far a signed time may be from ours (Standard Webhooks, "Replay attacks")."""


@dataclass(frozen=True, slots=True)
class Callback:
    """A provider's request as it came in. ``url`` as the provider was given it, query included;
    names of headers in lower case."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """What a provider said in one callback."""

    receipts: list[NewReceipt] = field(default_factory=list)
    taken: set[UUID] = field(default_factory=set)
    """Messages of which it said no more than that it has them."""


Verify = Callable[[Callback, Mapping[str, Any], int], bool]
"""Whether the provider sent it, given the channel's secrets and the time in ms. What is missing or
broken is no signature; never raises."""

Read = Callable[[Callback, int], Said]
"""What it says. Items that say nothing of a message of ours are left out. Raises ``ValueError``
where the body cannot be read at all."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    verify: Verify
    read: Read


def fresh(timestamp: str, now: int) -> bool:
    """Whether a signed time in seconds is near enough to be no replay."""
    digits = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12
    return digits and abs(int(timestamp) - now // 1_000) <= TOLERANCE_S


def standard_webhook(callback: Callback, secret: str | None, now: int, prefix: str) -> bool:
    """As Standard Webhooks 1.0.0 says; ``prefix`` of its headers: `webhook`, or `svix`."""
    names = (f"{prefix}-{name}" for name in ("id", "timestamp", "signature"))
    message_id, timestamp, signatures = (callback.headers.get(name, "") for name in names)
    if not secret or not message_id or not fresh(timestamp, now):
        return False
    expected = signature(secret, message_id, int(timestamp), callback.body)
    return any(same(expected, each) for each in signatures.split(" ")[:20])


def same(expected: str, given: str) -> bool:
    """In the same time wherever they differ."""
    return hmac.compare_digest(expected.encode(), given.encode())


def message_of(value: object) -> UUID | None:
    """The message a provider names; None where it is none of ours."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        return UUID(value)
    except ValueError:
        return None


def time_of(value: object, now: int) -> int:
    """ms of what a provider says, in ISO 8601 or seconds; ``now`` where it is no such time. Never
    later than now: clocks of others run fast."""
    if isinstance(value, int | float) and 0 < value < 1e11:
        return min(now, int(value * 1_000))
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        return now
    return min(now, int(at.timestamp() * 1_000))


def receipt(
    kind: ReceiptKind,
    message_id: UUID,
    at: int,
    *,
    reason: object = None,
    hard: bool | None = None,
    event_id: str = "",
    url: object = None,
    automated: bool = False,
) -> NewReceipt:
    """One receipt. Of bounces ``hard`` says whether the address is dead; soft ones are told apart
    by the provider's ``event_id``, as several count."""
    detail: dict[str, Any] = {}
    parts: list[str] = []
    if hard is not None:
        detail["bounce"] = "hard" if hard else "soft"
        parts = ["hard"] if hard else list(filter(None, ["soft", event_id[:100]]))
    if isinstance(url, str) and kind == "clicked":
        detail["url"] = url[:2_000]
        # Links have numbers where we made them; a provider knows addresses only.
        parts = [hashlib.blake2b(url.encode(errors="replace"), digest_size=8).hexdigest()]
    if isinstance(reason, str) and reason:
        detail["reason"] = reason[:300]
    if automated:
        detail["by"] = "provider"
        parts.append("automated")
    return NewReceipt(message_id, kind, at, ":".join(parts), automated, clean(detail))


def clean(detail: Mapping[str, Any]) -> dict[str, Any]:
    """Without the character that PostgreSQL holds in no text."""
    return {k: v.replace("\x00", "") if isinstance(v, str) else v for k, v in detail.items()}


def objects(body: bytes) -> Sequence[dict[str, Any]]:
    """The object, or the objects of the list, that a body of JSON holds. ``ValueError``."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("The body is not JSON.") from error
    return [
        each for each in (found if isinstance(found, list) else [found]) if isinstance(each, dict)
    ]


def inner(source: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object under a name; empty where there is none."""
    found = source.get(name)
    return found if isinstance(found, dict) else {}
