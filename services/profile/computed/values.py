"""Computed values as profiles hold them and as they are read. Pure.

A number of days that grows by itself is held as the instant it is counted from,
``{"$since": ms}``, and read as the days up to now: nobody's row is rewritten at midnight.
"""

from collections.abc import Mapping
from typing import Any

from services.rules.aggregates import Since, Value

_SINCE = "$since"

SQL_VALUES = """(
      SELECT coalesce(jsonb_object_agg(c.key, CASE
        WHEN jsonb_typeof(c.value) = 'object' AND c.value -> '$since' IS NOT NULL
        THEN to_jsonb(greatest(0, (CAST(:now_ms AS bigint)
                                   - CAST(c.value ->> '$since' AS bigint)) / 86400000))
        ELSE c.value END), '{}'::jsonb)
      FROM jsonb_each(p.computed) AS c)"""
"""``at`` in SQL, over the row ``p`` of a profile; ``:now_ms`` is bound by the caller."""


def stored(value: Value) -> Any:
    """The value as JSON for ``profile.computed``."""
    return {_SINCE: value.ms} if isinstance(value, Since) else value


def shown(value: Any, now_ms: int) -> Any:
    """A value of ``profile.computed`` as it reads now."""
    if type(value) is dict and _SINCE in value:
        return Since(value[_SINCE]).days(now_ms)
    return value


def at(computed: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    """``profile.computed`` as it reads now."""
    return {name: shown(value, now_ms) for name, value in computed.items()}


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal; true is not 1, though Python says so."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
