"""The comparable form of emails and phone numbers. Pure."""

import unicodedata

import phonenumbers

_IN_NO_EMAIL = frozenset('<>()[],;:\\"')


def email(value: str) -> str | None:
    """NFKC-folded and lower-cased (RFC 5321 lets the local part be case-sensitive; no mailbox
    provider is); None where it is no address."""
    value = unicodedata.normalize("NFKC", value).lower()
    local, at, domain = value.rpartition("@")
    if not at or not local or len(local) > 64 or "@" in local or "." not in domain:
        return None
    # `<a@b.example>` and `list:a@b.example;` reach a@b.example as well, so they would be second
    # spellings that an unsubscribe of the first does not stop.
    if any(c.isspace() or c in _IN_NO_EMAIL or unicodedata.category(c) == "Cc" for c in value):
        return None
    return value


def phone(value: str, region: str | None) -> str | None:
    """E.164; ``region`` (ISO 3166 alpha-2) is needed for national numbers. None where it is no
    possible number."""
    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def is_region(region: str) -> bool:
    """Whether numbers of this country are known."""
    return region in phonenumbers.SUPPORTED_REGIONS
