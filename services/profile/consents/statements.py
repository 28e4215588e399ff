"""What an event says about consents. Pure.

Two ways: ``context.consent.categoryPreferences`` (true or false by purpose, as the SDKs send it)
speaks of a purpose as a whole; the events below speak of one purpose, channel and contact point.
"""

import re
from collections.abc import Mapping
from typing import Any

from services import identifiers
from services.profile.consents.ledger import ANY, ConsentState, Place, Statement, Wording

EVENTS: dict[str, ConsentState] = {
    "Consent Granted": "granted",
    "Consent Withdrawn": "withdrawn",
    "Consent Requested": "pending",
}
TRUSTED_SOURCE = "api"
"""Tracking gives it to secret keys and to services; no browser can speak as it."""
MAX_PURPOSE = 200
CHANNEL = re.compile(r"[a-z][a-z0-9_]{0,31}")
PHONE_CHANNELS = ("sms", "phone", "whatsapp")
MAX_VERSION = 2**31 - 1


def preferences(context: Mapping[str, Any]) -> list[Statement]:
    """The statements in an event's context."""
    consent = context.get("consent")
    said = consent.get("categoryPreferences") if isinstance(consent, dict) else None
    if not isinstance(said, dict):
        return []
    return [
        Statement(Place(purpose), "granted" if state else "withdrawn")
        for purpose, state in said.items()
        if isinstance(state, bool) and _is_purpose(purpose)
    ]


def explicit(name: str, properties: Mapping[str, Any], source_id: str) -> list[Statement]:
    """The statement that one of ``EVENTS`` makes; none where it names no purpose.

    A channel or contact point that cannot be read makes a withdrawal broader and a grant void: to
    stop writing to somebody too early is the smaller mistake.
    """
    state = EVENTS[name]
    purpose = properties.get("purpose")
    if not isinstance(purpose, str) or not _is_purpose(purpose):
        return []
    channel = _channel(properties.get("channel"))
    contact_point = normal_contact_point(channel or ANY, properties.get("contact_point"))
    if None in (channel, contact_point) and state != "withdrawn":
        return []
    trusted = source_id == TRUSTED_SOURCE
    proof = ("language", "evidence", "actor") if trusted else ("language", "evidence")
    return [
        Statement(
            Place(purpose, channel or ANY, contact_point or ANY),
            state,
            separate=True,
            confirmed=trusted and properties.get("confirmed") is True,
            wording=_wording(properties),
            proof={name: properties[name] for name in proof if name in properties},
        )
    ]


def _wording(properties: Mapping[str, Any]) -> Wording | None:
    wording_id, version = properties.get("wording_id"), properties.get("wording_version")
    if not isinstance(wording_id, str) or type(version) is not int:
        return None
    return Wording(wording_id, version) if 0 < version <= MAX_VERSION else None


def _is_purpose(text: str) -> bool:
    # `*` would mean every purpose at the gate; nobody consents to everything.
    return text != ANY and 0 < len(text) <= MAX_PURPOSE


def _channel(raw: Any) -> str | None:
    if raw in (None, ANY):
        return ANY
    return raw if isinstance(raw, str) and CHANNEL.fullmatch(raw) else None


def normal_contact_point(channel: str, raw: Any) -> str | None:
    """An address as it is compared; ``*`` where none is given, None where it is no address."""
    if raw in (None, ANY):
        return ANY
    if channel == "email" or (channel == ANY and isinstance(raw, str) and "@" in raw):
        return identifiers.normalise("email", raw)
    namespace = "phone" if channel in PHONE_CHANNELS else "contact_point"
    return identifiers.normalise(namespace, raw)
