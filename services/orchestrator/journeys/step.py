"""The pure step: where a participant goes next and what that causes. No clock, no I/O.

Logical time: steps take no time, a delay ends at its due time however late somebody looks. So a
live run and a replay of the same events walk the same way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from uuid import UUID

from services.orchestrator.journeys.compiled import Compiled, Happening, comparable, look_up
from services.orchestrator.journeys.graph import (
    Branch,
    Delay,
    Exit,
    Message,
    Node,
    WaitEvent,
    Webhook,
)

ENTRY = "@entry"
EXIT = "@exit"


@dataclass(slots=True, frozen=True)
class Position:
    """Where a participant is. Times in ms since the epoch.

    `due`: the node is to be run. `waiting`: parked at it until `due_at` or an event. `visit` counts
    arrivals, so (participant, node, visit) never repeats.
    """

    state: Literal["due", "waiting", "exited"]
    node: str
    visit: int
    arrived_at: int
    due_at: int


@dataclass(slots=True, frozen=True)
class Moved:
    """One transition; `outcome` says why: entered, event, timeout, elapsed, case_0, queued …"""

    source: str
    outcome: str
    target: str
    at: int
    visit: int


@dataclass(slots=True, frozen=True)
class Send:
    """A message to be put into the ledger; its key is (participant, node, visit, channel)."""

    node: str
    visit: int
    at: int
    channel_id: UUID
    template_id: UUID | None
    payload: Mapping[str, Any] | None


@dataclass(slots=True, frozen=True)
class Step:
    position: Position
    moves: list[Moved] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)
    consumed: list[str] = field(default_factory=list)
    """Message ids of the missed events that passed a wait: each event does so once."""


Truths = Mapping[UUID, bool]
"""What is true of one person: by id of a branch's rule."""


def enter(compiled: Compiled, at: int) -> Step:
    """The step into the journey."""
    first = compiled.graph.entry.next
    position = Position("due", first, 1, at, at)
    return Step(position, [Moved(ENTRY, "entered", first, at, 1)])


def leave(position: Position, reason: str, at: int) -> Step:
    """Out of the journey from wherever the participant is."""
    exited = replace(position, state="exited", due_at=at)
    return Step(exited, [Moved(position.node, reason, EXIT, at, position.visit)])


def take(
    compiled: Compiled,
    position: Position,
    truths: Truths | None,
    now: int,
    *,
    known_until: int | None = None,
    trigger: Happening | None = None,
    missed: Sequence[Happening] = (),
) -> Step:
    """As far as the participant gets until `now`: parked, out, or before a node that needs facts.

    With `truths` None nothing is known of the person: the way ends before the first branch or send.
    A wait times out only up to `known_until` (default `now`): later events may not be known yet.
    `missed` are events of the person, oldest first, that may have come before their wait was
    reached; they count as if they came now.
    """
    step = Step(position)
    known_until = now if known_until is None else min(now, known_until)
    while True:
        position = step.position
        if position.state == "exited":
            return step
        node = compiled.nodes[position.node]
        if position.state == "waiting":
            woken = _first(compiled, position, trigger, missed)
            if woken is not None:
                event, after = woken
                missed = [each for each in missed if each is not event]
                step = replace(
                    step,
                    position=after.position,
                    moves=step.moves + after.moves,
                    consumed=[*step.consumed, event.message_id],
                )
                continue
            if position.due_at > (known_until if isinstance(node, WaitEvent) else now):
                return step
            step = _then(step, *_timer(node), at=position.due_at)
            continue
        if truths is None and isinstance(node, Branch | Message | Webhook):
            return step
        step = _run(step, node, compiled, truths or {})


def _first(
    compiled: Compiled,
    position: Position,
    trigger: Happening | None,
    events: Sequence[Happening],
) -> tuple[Happening, Step] | None:
    for event in events:
        after = deliver(compiled, position, trigger, event)
        if after is not None:
            return event, after
    return None


def deliver(
    compiled: Compiled, position: Position, trigger: Happening | None, event: Happening
) -> Step | None:
    """The step an event causes: None when the participant does not wait for it here and now."""
    if position.state != "waiting":
        return None
    node = compiled.nodes[position.node]
    if not isinstance(node, WaitEvent) or node.event != event.event:
        return None
    if not position.arrived_at <= event.at <= position.due_at:
        return None
    if not _matches(compiled, node, trigger, event):
        return None
    return _then(Step(position), "event", node.on_event, at=event.at)


def may_await(
    compiled: Compiled, position: Position, trigger: Happening | None, event: Happening
) -> bool:
    """Whether the event could pass a wait this participant has not reached yet."""
    reached = position.due_at if position.state == "waiting" else position.arrived_at
    if position.state == "exited" or event.event not in compiled.awaited or event.at < reached:
        return False
    return any(
        isinstance(node, WaitEvent)
        and node.event == event.event
        and _matches(compiled, node, trigger, event)
        for node in compiled.graph.nodes
    )


def _matches(
    compiled: Compiled, node: WaitEvent, trigger: Happening | None, event: Happening
) -> bool:
    if trigger is not None and event.message_id == trigger.message_id:
        return False
    for path, trigger_path in node.match.items():
        wanted = comparable(look_up(trigger.properties, trigger_path)) if trigger else None
        if wanted is None or comparable(look_up(event.properties, path)) != wanted:
            return False
    return compiled.wait_filters[node.id](event.properties, event.context)


def _run(step: Step, node: Node, compiled: Compiled, truths: Truths) -> Step:
    """Runs the node of a due participant."""
    position = step.position
    at = position.arrived_at
    match node:
        case Delay():
            return replace(step, position=_parked(position, node.seconds))
        case WaitEvent():
            return replace(step, position=_parked(position, node.timeout_seconds))
        case Branch():
            for index, case in enumerate(node.branches):
                if truths.get(compiled.rule_ids[node.id, index], False):
                    return _then(step, f"case_{index}", case.next, at=at)
            return _then(step, "otherwise", node.otherwise, at=at)
        case Message():
            send = Send(node.id, position.visit, at, node.channel_id, node.template_id, None)
        case Webhook():
            send = Send(node.id, position.visit, at, node.channel_id, None, node.payload)
        case Exit():
            gone = leave(position, node.reason, at)
            return replace(step, position=gone.position, moves=step.moves + gone.moves)
    step = replace(step, sends=[*step.sends, send])
    # What becomes of the message is known later, and skipped is not sent.
    return _then(step, "queued", node.next, at=at)


def _timer(node: Node) -> tuple[str, str]:
    if isinstance(node, WaitEvent):
        return "timeout", node.on_timeout
    assert isinstance(node, Delay)
    return "elapsed", node.next


def _parked(position: Position, seconds: int) -> Position:
    return replace(position, state="waiting", due_at=position.arrived_at + 1000 * seconds)


def _then(step: Step, outcome: str, target: str, *, at: int) -> Step:
    position = step.position
    move = Moved(position.node, outcome, target, at, position.visit)
    arrived = Position("due", target, position.visit + 1, at, at)
    return replace(step, position=arrived, moves=[*step.moves, move])
