"""Which strings are instants, said once for all three evaluators."""

import re
from datetime import UTC, datetime, timedelta

_LEAP = (
    "(?:19(?:1[26]|[2468][048]|[3579][26])"
    "|20(?:[02468][048]|[13579][26])"
    "|21(?:0[48]|[2468][048]|[13579][26]))"
)
_DATE = (
    "(?:(?:19[1-9][0-9]|2[01][0-9][0-9])-"
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    f"|{_LEAP}-02-29)"
)
_CLOCK = "T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.][0-9]{1,6})?"
_ZONE = "(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9])"

# Valid in Python, PostgreSQL and RE2 alike. It admits valid dates only (1910 to 2199), so a
# string that matches can be cast in SQL without an error.
PATTERN = f"^{_DATE}{_CLOCK}{_ZONE}$"
_MATCH = re.compile(PATTERN.removeprefix("^").removesuffix("$")).fullmatch
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_us(moment: datetime) -> int:
    """Return microseconds since 1970 of an aware datetime."""
    return (moment - _EPOCH) // _MICROSECOND


def parse_us(text: str) -> int | None:
    """Return microseconds since 1970 of an ISO 8601 time with its zone, or None."""
    if _MATCH(text) is None:
        return None
    return to_us(datetime.fromisoformat(text))
