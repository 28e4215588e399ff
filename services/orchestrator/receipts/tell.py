"""Outcomes of receipts. Pure."""

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Row

from services.contracts.events import Outcome
from services.contracts.orchestrator import OutcomeName
from services.orchestrator.messages.tell import properties
from services.orchestrator.receipts.model import NewReceipt, ReceiptKind

_NAMES: dict[ReceiptKind, OutcomeName] = {
    "delivered": "Message Delivered",
    "opened": "Message Opened",
    "clicked": "Message Clicked",
    "bounced": "Message Bounced",
    "complained": "Message Complained",
    "unsubscribed": "Message Unsubscribed",
    "failed": "Message Undelivered",
}


def outcomes(new: Iterable[tuple[NewReceipt, Row[Any]]]) -> list[Outcome]:
    """One outcome per receipt that is new. Replays tell nothing."""
    return [
        Outcome(
            message_id=":".join(filter(None, (str(row.id), receipt.kind, receipt.key))),
            event=_NAMES[receipt.kind],
            profile_id=str(row.profile_id),
            occurred_at=receipt.at,
            properties=msgspec.json.encode(
                properties(row) | {"automated": receipt.automated, **receipt.detail}
            ).decode(),
        )
        for receipt, row in new
        if row.replay_id is None
    ]
