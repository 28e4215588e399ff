"""In which time zone a person lives, by the chain of semantics QH-1. Pure."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from phonenumbers import timezone as phone_zones

TRAITS = ("timezone", "time_zone")
COUNTRIES = ("country", "country_code")


def zone_of(
    traits: Mapping[str, Any], identifiers: Mapping[str, Sequence[str]], default: str
) -> ZoneInfo:
    """As ``known_zone``, else ``default``."""
    return known_zone(traits, identifiers) or ZoneInfo(default)


def known_zone(
    traits: Mapping[str, Any], identifiers: Mapping[str, Sequence[str]]
) -> ZoneInfo | None:
    """By trait, else as the phone number's or the country's zone.

    Where a country or prefix has several zones the first that its numbering plan lists stands for
    all: nearer than a default on another continent.
    """
    for name in TRAITS:
        found = _named(traits.get(name))
        if found is not None:
            return found
    for phone in identifiers.get("phone", ())[:1]:
        found = _of_phone(phone)
        if found is not None:
            return found
    for name in COUNTRIES:
        country = traits.get(name)
        if isinstance(country, str) and (found := _of_country(country.upper())) is not None:
            return found
    return None


@lru_cache(maxsize=2_000)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _named(name: Any) -> ZoneInfo | None:
    return _zone(name) if isinstance(name, str) and 0 < len(name) <= 64 else None


@lru_cache(maxsize=10_000)
def _of_phone(phone: str) -> ZoneInfo | None:
    try:
        number = phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        return None
    return _first(phone_zones.time_zones_for_number(number))


@lru_cache(maxsize=500)
def _of_country(country: str) -> ZoneInfo | None:
    number = phonenumbers.example_number(country)
    return None if number is None else _first(phone_zones.time_zones_for_number(number))


def _first(names: Sequence[str]) -> ZoneInfo | None:
    return None if not names or names[0] == phone_zones.UNKNOWN_TIMEZONE else _zone(names[0])
