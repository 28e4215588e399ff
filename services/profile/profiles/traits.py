"""What is known of a person, and how statements change it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from services.profile.traits.equal import equal
from services.profile.traits.size import MAX_DEPTH, MAX_VALUE_BYTES, at_most, depth, size

MAX_TRAITS = 500
"""Keys of one profile, deleted ones included; further new ones are left out."""
MAX_NAME_LENGTH = 200
MAX_PROFILE_BYTES = 64 * 1024
"""Names and values of one profile, by ``size``."""

Excess = Literal[
    "name_too_long", "too_deep", "value_too_large", "too_many_traits", "profile_too_large"
]
"""Why a value is left out that the traits of one profile have no room for."""
Verdict = Literal["changed", "outranked", Excess]


class Meta(NamedTuple):
    """How a value came to be: when it was said last (ms), by a source of which priority, by which;
    and the place in the log where it was said first."""

    at: int
    priority: int
    source: str
    seq: int

    @property
    def rank(self) -> tuple[int, int]:
        """What decides between two statements about one trait."""
        return self.priority, self.at


@dataclass(slots=True)
class Traits:
    """Traits and, per key, what the value rests on. A key without a value: deleted."""

    values: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Meta] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    bound: int = 0
    """The size of everything is at most this; measured only where it might be too much."""

    def say(self, key: str, value: Any, meta: Meta, *, large: bool = False) -> Verdict | None:
        """One statement: the higher priority wins, then the later time, then the later in the log.

        ``large``: it may exceed what a single value may be. None: nothing new was said.
        """
        known = self.meta.get(key)
        if known is None:
            if (excess := self._excess(key, value, True, large)) is not None:
                return excess
            self._put(key, value, meta)
            return "changed"
        same = equal(value, self.values.get(key))
        if meta.rank < known.rank:
            return None if same else "outranked"
        if same:
            self.meta[key] = Meta(meta.at, meta.priority, meta.source, known.seq)
            return None
        if (excess := self._excess(key, value, False, large)) is not None:
            return excess
        self._put(key, value, meta)
        return "changed"

    def learn(self, said: Mapping[str, Any], meta: Meta) -> None:
        for key, value in said.items():
            self.say(key, value, meta, large=True)

    def absorb(self, other: "Traits") -> None:
        """A merge: the survivor keeps what it knows, blanks are filled as far as there is room."""
        for key, meta in other.meta.items():
            if key in self.meta:
                continue
            value = other.values.get(key)
            if value is None or self._excess(key, value, True, False) is None:
                self._put(key, value, meta)

    def copy(self) -> "Traits":
        return Traits(dict(self.values), dict(self.meta))

    def excess(self, key: str, value: Any) -> Excess | None:
        """Why there would be no room for a value, whoever says it."""
        return self._excess(key, value, key not in self.meta, True)

    def _excess(self, key: str, value: Any, new: bool, large: bool) -> Excess | None:
        if len(key) > MAX_NAME_LENGTH:
            return "name_too_long"
        if new and len(self.meta) >= MAX_TRAITS:
            return "too_many_traits"
        if value is None:
            return None
        if large:
            if depth(value) > MAX_DEPTH:
                return "too_deep"
            if size(value) > MAX_VALUE_BYTES:
                return "value_too_large"
        self.bound += at_most(key) + at_most(value)
        if self.bound > MAX_PROFILE_BYTES and not self._has_room(key, value):
            return "profile_too_large"
        return None

    def _has_room(self, key: str, value: Any) -> bool:
        before = sum(size(k) + size(v) for k, v in self.values.items())
        held = self.values.get(key)
        grown = size(value) - (-size(key) if held is None else size(held))
        fits = before + grown <= MAX_PROFILE_BYTES or grown <= 0
        self.bound = before + grown if fits else before
        return fits

    def _put(self, key: str, value: Any, meta: Meta) -> None:
        self.meta[key] = meta
        if value is not None:
            self.values[key] = value
        elif self.values.pop(key, None) is None:
            # Nothing was there that somebody could miss.
            return
        self.changed.add(key)
