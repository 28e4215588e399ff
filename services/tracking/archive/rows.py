"""Rows of ClickHouse → rows of the log, as their readers would have got them. Pure."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from services.contracts.events import Event, Outcome
from services.kit.feeds import FeedRow, pack
from services.tracking.named import again

Row = tuple[Any, ...]
"""The columns of ``events.sql``."""


def log_rows(rows: Iterable[Row], *, outcomes: bool) -> Iterator[FeedRow]:
    """One per log offset, entries in their old order. Duplicates are not in ClickHouse, so no row
    has a bitmap; ``at`` is when the newest of its events was received."""
    make = _outcome if outcomes else _event
    for offset, group in groupby(rows, key=lambda row: int(row[0])):
        found = list(group)
        yield FeedRow(offset, len(found), max(r[1] for r in found), pack([make(r) for r in found]))


def _event(row: Row) -> Event:
    _, received_at, message_id, source_id, kind, event, subject_id, *rest = row
    user_id, email, phone, anonymous_id, previous_id, beside, group_id, *rest = rest
    occurred_at, original_at, sent_at, time_source, properties, traits, context = rest
    return Event(
        message_id=message_id,
        source_id=source_id,
        type=kind,
        event=event,
        subject_id=subject_id,
        identifiers=again(user_id, email, phone, anonymous_id, previous_id, beside),
        user_id=user_id,
        anonymous_id=anonymous_id,
        occurred_at=occurred_at,
        original_at=original_at,
        received_at=received_at,
        sent_at=sent_at,
        time_source=time_source,
        previous_id=previous_id,
        group_id=group_id,
        properties=properties,
        traits=traits,
        context=context,
    )


def _outcome(row: Row) -> Outcome:
    message_id, _, _, event, profile_id = row[2:7]
    return Outcome(message_id, event, profile_id, occurred_at=row[14], properties=row[18])
