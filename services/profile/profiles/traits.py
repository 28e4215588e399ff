"""What is known of a person, and how statements change it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_TRAITS = 500
"""Keys of one profile; further new ones are left out."""


@dataclass(slots=True)
class Traits:
    """Traits and, per key, the ms at which the value was said. A time without a value: deleted."""

    values: dict[str, Any] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)

    def learn(self, said: Mapping[str, Any], at: int) -> None:
        """Last write by event time wins; of two at the same time the later in the log."""
        for key, value in said.items():
            known_at = self.times.get(key)
            if known_at is None and len(self.times) >= MAX_TRAITS:
                continue
            if known_at is None or at >= known_at:
                self._put(key, value, at)

    def absorb(self, other: "Traits") -> None:
        """A merge: the survivor keeps what it knows, blanks are filled."""
        for key, at in other.times.items():
            if key not in self.times and len(self.times) < MAX_TRAITS:
                self._put(key, other.values.get(key), at)

    def copy(self) -> "Traits":
        return Traits(dict(self.values), dict(self.times))

    def _put(self, key: str, value: Any, at: int) -> None:
        self.times[key] = at
        if value == self.values.get(key) and type(value) is type(self.values.get(key)):
            return
        self.changed.add(key)
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value
