"""Identifiers of people: namespaces, normalisation, and the subject id made of them. Pure."""

import re
import unicodedata
from typing import Final
from uuid import UUID, uuid5

import phonenumbers

PRIORITY: Final = ("user_id", "email", "phone", "anonymous_id")
"""Namespaces, highest priority first; the first one an event carries makes its subject."""

# Values that many clients send when they have no id (semantics ID-4): linking by them would
# glue strangers together.
_BLOCKED = re.compile(
    r"[0-]*|-1|null|none|nil|anonymous|guest|undefined|nan|\[object object\]|true|false", re.I
)
_MAX_LENGTH = 255
_IN_NO_EMAIL = frozenset('<>()[],;:\\"')


def is_blocked(value: str) -> bool:
    """True for placeholder values such as ``0``, ``null`` or ``undefined``."""
    return _BLOCKED.fullmatch(value) is not None


def normalise(namespace: str, raw: object, region: str | None = None) -> str | None:
    """The comparable form of an identifier, or None where it identifies nobody.

    Numbers are accepted for ids, as SDKs send them. Emails are NFKC-folded and lower-cased (RFC
    5321 lets the local part be case-sensitive; no mailbox provider is). Phones become E.164;
    ``region`` (ISO 3166 alpha-2) is needed for national numbers.
    """
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        return None
    value = str(raw).strip()
    if not value or len(value) > _MAX_LENGTH or is_blocked(value):
        return None
    if namespace == "email":
        return _email(value)
    if namespace == "phone":
        return _phone(value, region)
    return value


def _email(value: str) -> str | None:
    value = unicodedata.normalize("NFKC", value).lower()
    local, at, domain = value.rpartition("@")
    if not at or not local or len(local) > 64 or "@" in local or "." not in domain:
        return None
    # `<a@b.example>` and `list:a@b.example;` reach a@b.example as well, so they would be second
    # spellings that an unsubscribe of the first does not stop.
    if any(c.isspace() or c in _IN_NO_EMAIL or unicodedata.category(c) == "Cc" for c in value):
        return None
    return value


def _phone(value: str, region: str | None) -> str | None:
    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def subject_id(workspace_id: UUID, namespace: str, value: str) -> UUID:
    """Name-based UUID (RFC 9562 version 5) of one normalised identifier in one workspace.

    It never changes: events carry it for ever, and the map subject → profile is applied on read.
    """
    return uuid5(workspace_id, f"{namespace}:{value}")
