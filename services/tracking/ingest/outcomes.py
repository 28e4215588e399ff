"""What an outcome must be for every reader behind the log to take it. Pure."""

from uuid import UUID

from services.contracts.events import Outcome
from services.kit import strict
from services.kit.problems import InvalidRequest, MalformedBody
from services.tracking.ingest.clock import MAX_MS

MAX_TEXT_LENGTH = 500


def check_outcome(outcome: Outcome, pointer: str) -> None:
    """``InvalidRequest`` at the field. A block's readers take all of it or stop for ever."""
    for name in ("message_id", "event"):
        text = getattr(outcome, name)
        if not text or len(text) > MAX_TEXT_LENGTH or "\x00" in text:
            raise InvalidRequest.at(
                f"{pointer}/{name}", f"1 to {MAX_TEXT_LENGTH} characters without U+0000."
            )
    try:
        UUID(outcome.profile_id)
    except ValueError as error:
        raise InvalidRequest.at(f"{pointer}/profile_id", "Not a UUID.") from error
    if not 0 <= outcome.occurred_at < MAX_MS:
        raise InvalidRequest.at(f"{pointer}/occurred_at", "Milliseconds from 1970 to 2100.")
    not_object = InvalidRequest.at(f"{pointer}/properties", "Not the text of a JSON object.")
    try:
        properties = strict.decode(outcome.properties.encode())
    except (MalformedBody, UnicodeEncodeError) as error:
        raise InvalidRequest.at(
            f"{pointer}/properties", "Not the text of a JSON object."
        ) from error
    if not isinstance(properties, dict):
        raise not_object
