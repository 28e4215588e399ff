"""Where participants are, and the plain changes of it that steps are made of. Pure."""

from dataclasses import dataclass, field, replace
from typing import Literal
from uuid import UUID

from services.orchestrator.journeys.compiled import Happening
from services.orchestrator.journeys.effects import Effect

ENTRY = "@entry"
EXIT = "@exit"
REFUSED = "@refused"
"""Where those go in the counts who were not let in."""
MOVED = "@moved"
"""Between two versions of a journey."""
NO_BRANCH = -1


@dataclass(slots=True, frozen=True)
class Position:
    """Where a participant is. Times in ms since the epoch.

    `due`: the node is to be run. `waiting`: parked at it until `due_at` or what it waits for.
    `visit` counts arrivals, so (participant, node, visit) never repeats. `best`: the best branch of
    a ranked wait that came true so far.
    """

    state: Literal["due", "waiting", "exited"]
    node: str
    visit: int
    arrived_at: int
    due_at: int
    best: int = NO_BRANCH


@dataclass(slots=True, frozen=True)
class Moved:
    """One transition; `outcome` says why: entered, case_0, timeout, elapsed, queued …"""

    source: str
    outcome: str
    target: str
    at: int
    visit: int


@dataclass(slots=True)
class Step:
    position: Position
    moves: list[Moved] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    consumed: list[str] = field(default_factory=list)
    """Message ids of the missed events that passed a wait: each event does so once."""


@dataclass(slots=True, frozen=True)
class Way:
    """What never changes of one person's way through a journey."""

    profile_id: UUID
    journey_id: UUID
    rotation: int
    entered_at: int
    trigger: Happening | None
    """The entry event; None for those who did not come in by one."""


def leave(position: Position, reason: str, at: int) -> Step:
    """Out of the journey from wherever the participant is."""
    exited = replace(position, state="exited", due_at=at)
    return Step(exited, [Moved(position.node, reason, EXIT, at, position.visit)])


def park(step: Step, due_at: int) -> None:
    at = step.position
    step.position = Position("waiting", at.node, at.visit, at.arrived_at, due_at, at.best)


def then(step: Step, outcome: str, target: str, *, at: int) -> None:
    position = step.position
    step.moves.append(Moved(position.node, outcome, target, at, position.visit))
    step.position = Position("due", target, position.visit + 1, at, at)


def join(step: Step, after: Step) -> None:
    step.position = after.position
    step.moves += after.moves
    step.effects += after.effects
