"""Retention policies → the condition of the events that have expired. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.tracking.conditions import Binds

_LIKE_SPECIAL = re.compile(r"[\\%_]")
WILDCARD = "*"


@dataclass(frozen=True, slots=True)
class Policy:
    """Events of a class live ``days`` from when they occurred. None stands for any."""

    id: UUID
    type: str | None
    event: str | None
    source_id: str | None
    days: int

    @property
    def rank(self) -> tuple[bool, int, bool, bool, int]:
        """The highest of the policies that an event meets is the one that counts: an exact name
        before a pattern, of patterns the one with more literal characters, then one that names the
        source, then one that names the type; of equals the shortest time."""
        name = self.event or ""
        exact = self.event is not None and WILDCARD not in name
        literal = len(name.replace(WILDCARD, ""))
        return exact, literal, self.source_id is not None, self.type is not None, -self.days


def expired(policies: Sequence[Policy], now: datetime) -> tuple[str, dict[str, Any]]:
    """Condition over ``events`` and its parameters; at least one policy is needed.

    A disjunction, one part per policy: each names its event and its time, so that ClickHouse reads
    only what can have expired.
    """
    binds = Binds()
    ranked = sorted(policies, key=lambda policy: policy.rank, reverse=True)
    classes = [_class(policy, binds) for policy in ranked]
    parts = []
    for index, policy in enumerate(ranked):
        cutoff = int((now - timedelta(days=policy.days)).timestamp() * 1000)
        at = f"fromUnixTimestamp64Milli({binds.add(cutoff, 'Int64')}, 'UTC')"
        before = [f"NOT ({each})" for each in classes[:index]]
        parts.append(" AND ".join([f"occurred_at < {at}", f"({classes[index]})", *before]))
    return " OR ".join(f"({part})" for part in parts), binds.params


def _class(policy: Policy, binds: Binds) -> str:
    conditions = []
    for name, value in (("type", policy.type), ("source_id", policy.source_id)):
        if value is not None:
            conditions.append(f"{name} = {binds.add(value, 'String')}")
    if policy.event is not None and WILDCARD in policy.event:
        pattern = _LIKE_SPECIAL.sub(r"\\\g<0>", policy.event).replace(WILDCARD, "%")
        conditions.append(f"event LIKE {binds.add(pattern, 'String')}")
    elif policy.event is not None:
        conditions.append(f"event = {binds.add(policy.event, 'String')}")
    return " AND ".join(conditions) or "true"
