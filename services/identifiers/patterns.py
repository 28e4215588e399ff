"""Regular expressions that users write and that run on every event: in linear time only. Pure."""

from collections.abc import Iterable
from typing import Any, Protocol

import jsonschema_rs

# What an expression may take once compiled; `((a{100}){100}){100}` is refused by it.
_OPTIONS = jsonschema_rs.RegexOptions(size_limit=1 << 18, dfa_size_limit=1 << 18)


class Matcher(Protocol):
    def is_valid(self, instance: Any) -> bool: ...


def matcher(patterns: Iterable[str]) -> Matcher:
    """``is_valid(text)``: whether any of the patterns is found in it. ``ValueError`` at one that is
    no expression, needs backtracking or is too large.

    The engine is that of tracking plans: Rust's, which never backtracks.
    """
    any_of: list[Any] = [{"pattern": pattern} for pattern in patterns]
    schema = {"anyOf": any_of or [False]}
    try:
        made: Matcher = jsonschema_rs.validator_for(schema, pattern_options=_OPTIONS)
    except jsonschema_rs.ValidationError as error:
        raise ValueError("not a regular expression that runs in linear time") from error
    return made
