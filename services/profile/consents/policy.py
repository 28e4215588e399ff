"""What the law of a person's country takes for granted. Pure.

Three regimes: under ``gdpr`` and ``pipl`` nothing is allowed before it was granted; under
``opt_out`` the purposes that the workspace names are, until they are withdrawn. ``pipl`` asks
besides for a consent of its own to sensitive purposes (Personal Information Protection Law,
Art. 29) and for a way without personalisation (Art. 24), which Waymark offers under every regime.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import phonenumbers

from services.profile.consents.decide import Said, overall
from services.profile.consents.ledger import PERSONALISATION, ConsentState

Regime = Literal["gdpr", "pipl", "opt_out"]
GROUP_PREFIX = "group:"
LAW_TRAITS = frozenset(("country", "phone"))
"""Traits that say which country's law applies."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A workspace's settings. ``countries``: regime by ISO 3166 alpha-2 code, for people whose
    country is known; ``opt_out_groups``: purposes of groups one is in until one leaves."""

    region: Regime = "gdpr"
    countries: Mapping[str, Regime] = field(default_factory=dict)
    presumed_purposes: frozenset[str] = frozenset()
    sensitive_purposes: frozenset[str] = frozenset()
    opt_out_groups: frozenset[str] = frozenset()
    confirmed_groups: frozenset[str] = frozenset()
    """Purposes of groups with double opt-in: a grant counts once it is confirmed."""

    def regime(self, traits: Mapping[str, Any]) -> Regime:
        """By the trait ``country``, else the country of the trait ``phone``, else the workspace."""
        return (
            self.countries.get(_country(traits) or "", self.region)
            if self.countries
            else (self.region)
        )

    def presumed(self, traits: Mapping[str, Any]) -> frozenset[str]:
        """Purposes that need no statement of this person. A group's default is the promise of its
        owner and holds only where the law knows presumption at all."""
        if self.regime(traits) != "opt_out":
            return frozenset()
        return (self.presumed_purposes - self.sensitive_purposes) | self.opt_out_groups

    def counting(self, said: Said, traits: Mapping[str, Any]) -> Said:
        """Without the grants that the regime does not accept: of sensitive purposes under ``pipl``
        those that were not given on their own."""
        if not self.sensitive_purposes or self.regime(traits) != "pipl":
            return said
        return {
            place: held
            for place, held in said.items()
            if held.state != "granted"
            or held.separate
            or place.purpose not in self.sensitive_purposes
        }


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person's statements come to. ``states``: by purpose, as rules read them."""

    states: Mapping[str, ConsentState]
    presumed: frozenset[str] = frozenset()
    """Purposes that need no grant."""
    pending: tuple[str, ...] = ()
    """Purposes of which something waits for a confirmation."""
    non_personalised: bool = False
    """The person chose not to be treated by who they are."""


NOTHING_SAID = Standing({})


def standing(policy: Policy, said: Said, traits: Mapping[str, Any]) -> Standing:
    presumed = policy.presumed(traits)
    if not said and not presumed:
        return NOTHING_SAID
    said = policy.counting(said, traits)
    states = overall(said, presumed)
    return Standing(
        states,
        presumed,
        tuple(sorted({place.purpose for place, held in said.items() if held.waits})),
        states.get(PERSONALISATION) == "withdrawn",
    )


def group_purpose(group_id: object) -> str:
    return f"{GROUP_PREFIX}{group_id}"


def is_group(purpose: str) -> bool:
    return purpose.startswith(GROUP_PREFIX)


def _country(traits: Mapping[str, Any]) -> str | None:
    country = traits.get("country")
    if isinstance(country, str) and len(country) == 2:
        return country.upper()
    phone = traits.get("phone")
    if not isinstance(phone, str):
        return None
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(phone))
    except phonenumbers.NumberParseException:
        return None
