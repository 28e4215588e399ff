"""Outcomes of messages. Pure."""

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Row

from services.contracts.events import Outcome
from services.contracts.orchestrator import OutcomeName

_NAMES: dict[str, OutcomeName] = {
    "accepted": "Message Sent",
    "failed": "Message Failed",
    "unknown": "Message Unknown",
    "skipped": "Message Skipped",
}


def properties(row: Row[Any]) -> dict[str, Any]:
    """What every outcome of a message says of it."""
    return {
        "message_id": str(row.id),
        "journey_id": str(row.journey_id),
        "version_id": str(row.version_id) if row.version_id else None,
        "participant_id": str(row.participant_id),
        "node": row.node,
        "channel_id": str(row.channel_id),
        "channel_type": row.channel_type,
        "purpose": row.purpose,
        "reason": row.reason,
    }


def outcomes(rows: Iterable[Row[Any]], now: int) -> list[Outcome]:
    """One outcome per message that reached one of the told states. Replays tell nothing: what did
    not happen to a person is not on their timeline."""
    return [
        Outcome(
            message_id=f"{row.id}:{row.state}",
            event=_NAMES[row.state],
            profile_id=str(row.profile_id),
            occurred_at=now,
            properties=msgspec.json.encode(properties(row)).decode(),
        )
        for row in rows
        if row.replay_id is None
    ]
