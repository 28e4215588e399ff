"""Tries refused events again by the rules of now. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import msgspec

from services.contracts.events import Event
from services.tracking.ingest.accept import SURPLUS, Refusals, accept_again
from services.tracking.ingest.convert import Origin
from services.tracking.ingest.refused import Refused
from services.tracking.ingest.wire import DECODE_ERRORS
from services.tracking.log.port import Quarantined
from services.tracking.plans.apply import Plan
from services.tracking.quarantine.origin import Circumstances, decode
from services.tracking.quarantine.store import ToReplay

REFUSED_BY_STORE = "refused_by_store"
_list = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class StillRefused:
    id: int
    reason: str
    pointer: str
    detail: str


@dataclass(slots=True)
class Outcome:
    """``passed``: rows that leave the quarantine; ``anew``: events of a surplus that enter it."""

    passed: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    refused: list[StillRefused] = field(default_factory=list)
    anew: list[Quarantined] = field(default_factory=list)


def try_again(workspace_id: UUID, rows: Sequence[ToReplay], plans: Mapping[str, Plan]) -> Outcome:
    """What passes now keeps the time at which it was received first. ``plans``: by source."""
    outcome = Outcome()
    for row in rows:
        said, plan = decode(row.origin), plans.get(row.source_id)
        origin = Origin(
            workspace_id,
            row.source_id,
            int(row.received_at.timestamp() * 1000),
            said.sent_at,
            bytes(said.context),
            said.server_key,
        )
        try:
            if row.reason == REFUSED_BY_STORE:
                raise Refused(
                    row.reason, "", "It is in the log; only the analytics store refused it."
                )
            if said.context_dropped:
                raise Refused(
                    row.reason, "", "The context its batch shared was too large to be kept."
                )
            if row.reason == SURPLUS:
                _surplus(row, said, origin, plan, outcome)
            else:
                place = _position(row.pointer)
                outcome.events.append(accept_again(row.raw, said, origin, place, plan))
        except Refused as error:
            outcome.refused.append(
                StillRefused(row.id, error.reason, f"#{error.pointer}", error.detail)
            )
        else:
            outcome.passed.append(row.id)
    return outcome


def _surplus(
    row: ToReplay, said: Circumstances, origin: Origin, plan: Plan | None, outcome: Outcome
) -> None:
    """The row is taken apart for good: its bad events become rows of their own."""
    try:
        raws = _list.decode(row.raw)
    except DECODE_ERRORS as error:
        raise Refused("invalid", "", "It is no list of events any more.") from error
    refusals = Refusals(origin)
    for position, raw in enumerate(raws, start=_position(row.pointer)):
        try:
            outcome.events.append(accept_again(raw, said, origin, position, plan))
        except Refused as error:
            refusals.add(raw, f"#/batch/{position}", error)
    outcome.anew += refusals.kept


def _position(pointer: str) -> int:
    """Where an event was in its request: ``#/batch/7/userId`` is 7, a single call 0."""
    parts = pointer.split("/")
    inside = len(parts) > 2 and parts[1] == "batch" and parts[2].isdecimal()
    return int(parts[2]) if inside else 0
