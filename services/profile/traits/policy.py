"""Which statements about traits a workspace takes, and whose counts more. Pure.

Definitions and priorities are kept with the offset of the log from which they count, so that the
log read again makes the same profiles.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from services.profile.consents.decide import Said, overall
from services.profile.stream.block import first_place
from services.profile.traits.definition import GATED, TraitDefinition, objection

Refusal = Literal["not_registered", "wrong_type", "consent_missing"]
API = "api"
"""The source of what is said through the API."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts from one offset of the log on."""

    definitions: Mapping[str, TraitDefinition] = field(default_factory=dict)
    priorities: Mapping[str, int] = field(default_factory=dict)
    registered_only: bool = False

    @property
    def idle(self) -> bool:
        """Nothing is ever refused."""
        return not self.definitions and not self.registered_only

    def priority(self, source_id: str) -> int:
        return self.priorities.get(source_id, 0)

    def refuses(self, key: str, value: Any, agreed: Said) -> Refusal | None:
        """``agreed``: the person's consents at that moment; what the law presumes is not enough.
        Whoever deletes a value needs none."""
        definition = self.definitions.get(key)
        if definition is None:
            return "not_registered" if self.registered_only else None
        if objection(definition, value) is not None:
            return "wrong_type"
        purpose = definition.consent_purpose
        if purpose is None or value is None or overall(agreed).get(purpose) == "granted":
            return None
        return "consent_missing"

    def masked(self, names: Iterable[str]) -> set[str]:
        """Those of the names that are not for everybody's eyes."""
        if not self.definitions:
            return set()
        known = self.definitions
        return {n for n in names if n in known and known[n].classification in GATED}


NOTHING = Rules()


class Policy:
    """All that ever counted, by place in the log."""

    def __init__(self, versions: Iterable[tuple[int, Rules]] = ()) -> None:
        """``versions``: (offset of the log after which it counts, rules), the oldest first."""
        found = list(versions)
        self._since = [first_place(offset + 1) for offset, _ in found]
        self._rules = [rules for _, rules in found]
        self.latest = self._rules[-1] if found else NOTHING
        self.gated = frozenset(
            name for rules in self._rules for name in rules.masked(rules.definitions)
        )
        """Names of traits that need, or ever needed, a consent."""

    def at(self, seq: int) -> Rules:
        """For the event at this place of the log."""
        if not self._since or seq >= self._since[-1]:
            return self.latest
        before = bisect_right(self._since, seq)
        return self._rules[before - 1] if before else NOTHING
