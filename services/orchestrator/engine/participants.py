"""A participant as the engine holds it in memory, and what its steps leave behind. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from services.contracts.events import Outcome
from services.contracts.orchestrator import OutcomeName
from services.orchestrator.journeys.compiled import Compiled, Happening
from services.orchestrator.journeys.effects import Converted, Effect, Exposed
from services.orchestrator.journeys.nodes import Wait
from services.orchestrator.journeys.position import ENTRY, EXIT, MOVED, Moved, Position, Step, Way


@dataclass(slots=True)
class Participant:
    """One person's way through one journey version. `trigger` is the event that let them in."""

    id: UUID
    journey_id: UUID
    version_id: UUID
    profile_id: UUID
    instance_key: str
    ledger_key: str
    rotation: int
    position: Position
    entered_at: int
    trigger: Mapping[str, Any]
    exit_reason: str | None = None
    fence: int = 0
    context: dict[str, Any] = field(default_factory=dict)
    """What answers of webhooks left, by name."""

    @property
    def way(self) -> Way:
        return way_of(
            self.profile_id, self.journey_id, self.rotation, self.entered_at, self.trigger
        )


def way_of(
    profile_id: UUID, journey_id: UUID, rotation: int, entered_at: int, trigger: Mapping[str, Any]
) -> Way:
    """``trigger``: what is kept of what let the person in, or would have."""
    happening = None
    if "event" in trigger:
        happening = Happening(
            profile_id,
            trigger["event"],
            trigger["message_id"],
            trigger["at"],
            trigger["properties"],
        )
    return Way(profile_id, journey_id, rotation, entered_at, happening)


@dataclass(slots=True)
class Traces:
    """What a block of steps leaves: counts per edge, outcomes to tell, effects to carry out."""

    flows: Counter[tuple[UUID, str, str, str]] = field(default_factory=Counter)
    outcomes: list[Outcome] = field(default_factory=list)
    effects: list[tuple[Participant, Effect]] = field(default_factory=list)

    def record(self, participant: Participant, step: Step) -> None:
        """Take over the step: the participant's position, and what it caused."""
        participant.position = step.position
        for move in step.moves:
            key = (participant.version_id, move.source, move.outcome, move.target)
            self.flows[key] += 1
            if move.target == EXIT:
                participant.exit_reason = move.outcome
            self.outcomes.append(outcome(participant, move))
        self.effects.extend((participant, effect) for effect in step.effects)

    def transfer(self, participant: Participant, version_id: UUID, position: Position) -> None:
        """Into another version: at the place it has, or at another node, which is told."""
        before = participant.position
        moved = position.visit != before.visit
        how = "moved" if moved else "kept"
        self.flows[participant.version_id, before.node, how, MOVED] += 1
        self.flows[version_id, MOVED, how, position.node] += 1
        if moved:
            move = Moved(before.node, how, position.node, position.arrived_at, before.visit)
            self.outcomes.append(outcome(participant, move))
        participant.version_id, participant.position = version_id, position


def outcome(participant: Participant, move: Moved) -> Outcome:
    """The event that tells of a move; its message id never repeats for another move."""
    name: OutcomeName = "Step Taken"
    suffix = f"{move.visit}:step"
    if move.source == ENTRY:
        name, suffix = "Journey Entered", "entered"
    elif move.target == EXIT:
        name, suffix = "Journey Exited", "exited"
    properties = {
        "journey_id": str(participant.journey_id),
        "version_id": str(participant.version_id),
        "participant_id": str(participant.id),
        "instance_key": participant.instance_key,
        "node": move.target if move.source == ENTRY else move.source,
        "outcome": move.outcome,
    }
    return Outcome(
        message_id=f"{participant.id}:{suffix}",
        event=name,
        profile_id=str(participant.profile_id),
        occurred_at=move.at,
        properties=msgspec.json.encode(properties).decode(),
    )


def refused(participant: Participant, node: str, visit: int, at: int, reason: str) -> Outcome:
    """The event that tells that an effect of a node could not be carried out."""
    name: OutcomeName = "Step Refused"
    return Outcome(
        message_id=f"{participant.id}:{visit}:refused",
        event=name,
        profile_id=str(participant.profile_id),
        occurred_at=at,
        properties=msgspec.json.encode(
            {
                "journey_id": str(participant.journey_id),
                "version_id": str(participant.version_id),
                "participant_id": str(participant.id),
                "instance_key": participant.instance_key,
                "node": node,
                "outcome": reason[:300],
            }
        ).decode(),
    )


def converted(participant: Participant, goal: Converted) -> Outcome:
    """The event that tells of a goal; a participant's goal is told of once."""
    name: OutcomeName = "Goal Reached"
    return Outcome(
        message_id=f"{participant.id}:goal:{goal.goal}",
        event=name,
        profile_id=str(participant.profile_id),
        occurred_at=goal.at,
        properties=msgspec.json.encode(
            {
                "journey_id": str(participant.journey_id),
                "version_id": str(participant.version_id),
                "participant_id": str(participant.id),
                "instance_key": participant.instance_key,
                "goal": goal.goal,
                "value": goal.value,
            }
        ).decode(),
    )


def exposed(participant: Participant, shown: Exposed) -> Outcome:
    """The event that tells which variant a person was shown; told once per person."""
    name: OutcomeName = "Experiment Exposed"
    return Outcome(
        message_id=f"{participant.id}:exposed:{shown.experiment_id}",
        event=name,
        profile_id=str(participant.profile_id),
        occurred_at=shown.at,
        properties=msgspec.json.encode(
            {
                "journey_id": str(participant.journey_id),
                "version_id": str(participant.version_id),
                "participant_id": str(participant.id),
                "instance_key": participant.instance_key,
                "experiment_id": str(shown.experiment_id),
                "variant": shown.variant,
                "probability": shown.probability,
                "chooser": shown.chooser,
                "node": shown.node,
            }
        ).decode(),
    )


def awaits(compiled: Compiled, position: Position) -> bool:
    """Whether a parked participant waits for events, which may be known late."""
    return position.state == "waiting" and isinstance(compiled.nodes[position.node], Wait)


def trigger_of(event: Happening, anchor_at: int | None = None) -> dict[str, Any]:
    """What is kept of the entry event."""
    kept: dict[str, Any] = {
        "event": event.event,
        "message_id": event.message_id,
        "at": event.at,
        "properties": dict(event.properties),
    }
    if anchor_at is not None:
        kept["anchor_at"] = anchor_at
    return kept


def by_profile(events: Iterable[Happening]) -> dict[UUID, list[Happening]]:
    """Events of each person, oldest first."""
    grouped: dict[UUID, list[Happening]] = {}
    for event in sorted(events, key=lambda e: e.at):
        grouped.setdefault(event.profile_id, []).append(event)
    return grouped
