"""Bound parameters of a compiled condition: names are made here, never taken from a rule."""

import re
from dataclasses import dataclass
from typing import NamedTuple

ParamValue = str | int | float | list[str]


class Compiled(NamedTuple):
    """A condition and its named parameters."""

    sql: str
    params: dict[str, ParamValue]


@dataclass(slots=True)
class Binds:
    """Collects values under generated names `<prefix>1`, `<prefix>2` …, equal values once."""

    prefix: str
    values: dict[str, ParamValue]
    names: dict[tuple[str, str], str]

    @classmethod
    def start(cls, prefix: str) -> "Binds":
        if re.fullmatch("[a-z][a-z_]{0,15}", prefix) is None:
            raise ValueError("a prefix is up to 16 small letters and underscores")
        return cls(prefix, {}, {})

    def name(self, value: ParamValue) -> str:
        key = (type(value).__name__, repr(value))
        if key not in self.names:
            self.names[key] = f"{self.prefix}{len(self.names) + 1}"
            self.values[self.names[key]] = value
        return self.names[key]
