"""What is kept of a webhook's answer. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from services.orchestrator.journeys.compiled import look_up

MAX_TEXT = 2_000


def capture(body: bytes, wanted: Mapping[str, str]) -> dict[str, Any]:
    """What is found at these paths of the JSON, by name: texts, numbers and booleans. Pure."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    found = {name: look_up(document, path) for name, path in wanted.items()}
    return {name: value for name, value in found.items() if _kept(value)}


def _kept(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEXT and "\x00" not in value
    return isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63)
