"""Tries refused events again by the rules of now. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import msgspec

from services.contracts.events import Event
from services.identifiers import Policy
from services.kit import feeds
from services.tracking.ingest.accept import SURPLUS, accept_again, accept_calls, encoded
from services.tracking.ingest.convert import Origin
from services.tracking.ingest.refusals import Refusals
from services.tracking.ingest.refused import Refused
from services.tracking.ingest.wire import DECODE_ERRORS
from services.tracking.log.port import Quarantined
from services.tracking.plans.apply import Plan
from services.tracking.quarantine.origin import Circumstances, decode
from services.tracking.quarantine.store import ToReplay
from services.tracking.quarantine.translate import needed, translated
from services.tracking.webhooks import calls as webhooks
from services.tracking.webhooks.mapping_model import MappingDocument

REFUSED_BY_STORE = "refused_by_store"
_list = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class StillRefused:
    id: int
    reason: str
    pointer: str
    detail: str


@dataclass(frozen=True, slots=True)
class Rules:
    """By which a source's events are judged now."""

    plan: Plan | None = None
    mapping: MappingDocument | None = None


@dataclass(slots=True)
class Outcome:
    """``passed``: rows that leave the quarantine; ``anew``: events of a surplus or of a whole
    webhook that enter it."""

    passed: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    refused: list[StillRefused] = field(default_factory=list)
    anew: list[Quarantined] = field(default_factory=list)


def try_again(
    workspace_id: UUID, rows: Sequence[ToReplay], rules: Mapping[str, Rules], policy: Policy
) -> Outcome:
    """What passes now keeps the time at which it was received first. ``rules``: by source."""
    outcome = Outcome()
    for row in rows:
        try:
            _Again(workspace_id, row, rules.get(row.source_id, Rules()), policy).run(outcome)
        except Refused as error:
            outcome.refused.append(
                StillRefused(row.id, error.reason, f"#{error.pointer}", error.detail)
            )
        else:
            outcome.passed.append(row.id)
    return outcome


class _Again:
    """One row: an event, the surplus of a batch, or a webhook's whole body."""

    def __init__(self, workspace_id: UUID, row: ToReplay, rules: Rules, policy: Policy) -> None:
        self._row = row
        self._rules = rules
        self._said = decode(row.origin)
        self._origin = Origin(
            workspace_id,
            row.source_id,
            int(row.received_at.timestamp() * 1000),
            self._said.sent_at,
            bytes(self._said.context),
            self._said.server_key,
            policy=policy,
        )

    def run(self, outcome: Outcome) -> None:
        """``Refused`` where it does not pass yet."""
        row, said = self._row, self._said
        if row.reason == REFUSED_BY_STORE:
            raise Refused(row.reason, "", "It is in the log; only the analytics store refused it.")
        if said.context_dropped:
            raise Refused(row.reason, "", "What its batch shared was too large to be kept.")
        if row.reason == SURPLUS:
            self._take_apart(outcome)
        elif said.protocol == webhooks.PROTOCOL and said.position is None:
            self._whole(outcome)
        else:
            outcome.events += self._events(row.raw, _position(row.pointer, said))

    def _events(self, raw: bytes | msgspec.Raw, position: int) -> list[Event]:
        """One event, or none where a mapping does not want it."""
        return [
            accept_again(text, self._said, self._origin, position, self._rules.plan)
            for text in translated(raw, self._said, self._rules.mapping, position, self._origin)
        ]

    def _take_apart(self, outcome: Outcome) -> None:
        """For good: the bad events of the surplus become rows of their own."""
        try:
            raws = _list.decode(self._row.raw)
        except DECODE_ERRORS as error:
            raise Refused("invalid", "", "It is no list of events any more.") from error
        said, list_at = self._said, self._row.pointer.rpartition("/")[0]
        refusals = Refusals(self._origin, protocol=said.protocol, shared=bytes(said.shared))
        for position, raw in enumerate(raws, start=_position(self._row.pointer, said)):
            try:
                outcome.events += self._events(raw, position)
            except Refused as error:
                refusals.add(raw, f"{list_at}/{position}", error, position)
        outcome.anew += refusals.kept

    def _whole(self, outcome: Outcome) -> None:
        """A body of one item stays as it is until it passes; one of many is taken apart."""
        delivery = webhooks.decode(bytes(self._said.shared))
        found = webhooks.mapped(needed(self._rules.mapping), self._row.raw, delivery).calls
        if found.single:
            texts = [encoded(call.said) for call in found.calls]
            outcome.events += [
                accept_again(text, self._said, self._origin, 0, self._rules.plan) for text in texts
            ]
            return
        append, _ = accept_calls(found, self._origin, self._rules.plan, webhooks.PROTOCOL)
        outcome.events += feeds.unpack(append.data, Event) if append.count else []
        outcome.anew += append.quarantined


def _position(pointer: str, said: Circumstances) -> int:
    """Where an event was in its request: ``#/batch/7/userId`` is 7, a single call 0."""
    if said.position is not None:
        return said.position
    parts = pointer.split("/")
    inside = len(parts) > 2 and parts[1] == "batch" and parts[2].isdecimal()
    return int(parts[2]) if inside else 0
