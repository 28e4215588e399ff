"""Each kind of node and condition in the pure step, beside delays and single waits."""

from typing import Any
from uuid import UUID

import pytest

from services.orchestrator.journeys import effects
from services.orchestrator.journeys.compiled import Compiled, Happening
from services.orchestrator.journeys.listen import answer, deliver, hold
from services.orchestrator.journeys.nodes import SplitArm
from services.orchestrator.journeys.position import Position
from services.orchestrator.journeys.shapes import YEAR_SECONDS
from services.orchestrator.journeys.split import arm_of
from services.orchestrator.journeys.step import Known, enter, take
from tests.orchestrator.journeys.graphs import (
    CHANNEL,
    SECOND,
    compiled,
    delay,
    happened,
    leave,
    wait,
)
from tests.orchestrator.journeys.ways import T, entered, left, way

RULE = {"rules": [{"field": "traits.plan", "operator": "=", "value": "pro"}]}
END = leave("end")


# Waits


def waiting(*branches: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": "wait",
        "type": "wait",
        "branches": list(branches),
        "timeout_seconds": 60,
        "on_timeout": "late",
        **more,
    }


A, B = {"event": "A", "next": "a"}, {"event": "B", "next": "b"}
ENDS = (leave("a"), leave("b"), leave("late"))


def passed(journey: Compiled, *events: Happening, now: int = T + 60 * SECOND) -> str | None:
    """Where the events and then the clock lead."""
    position = entered(journey, now=T).position
    for event in events:
        after = deliver(journey, position, way(), event)
        position = after.position if after else position
    return left(take(journey, position, way(), Known(), now))


def test_the_first_of_several_events_decides() -> None:
    journey = compiled(waiting(A, B), *ENDS)
    assert passed(journey, happened("B", T + 1), happened("A", T + 2)) == "b"
    assert passed(journey) == "late"


def test_a_ranked_wait_takes_the_best_that_came_by_its_end() -> None:
    third = {"event": "C", "next": "late"}
    journey = compiled(waiting(A, B, third, ranked=True), *ENDS)
    assert passed(journey, happened("C", T + 1), happened("B", T + 2)) == "b"
    assert passed(journey, happened("B", T + 1), happened("C", T + 2)) == "b"
    assert passed(journey, happened("B", T + 1), now=T + 2) is None, "the best may still come"
    assert passed(journey, happened("B", T + 1), happened("A", T + 2), now=T + 2) == "a"
    assert passed(journey) == "late"


def test_a_repeated_event_starts_the_timeout_anew() -> None:
    journey = compiled(waiting(A, reset_on=[{"event": "Again"}]), *ENDS[::2])
    again = [happened("Again", T + 40 * SECOND), happened("Again", T + 90 * SECOND)]
    assert passed(journey, *again, now=T + 149 * SECOND) is None
    assert passed(journey, *again, now=T + 150 * SECOND) == "late"
    assert passed(journey, happened("Again", T + 61 * SECOND)) == "late", "too late to start anew"


def test_a_wait_that_is_started_anew_ends_after_a_year() -> None:
    journey = compiled(
        waiting(A, reset_on=[{"event": "Again"}], timeout_seconds=YEAR_SECONDS), *ENDS[::2]
    )
    position = entered(journey).position
    after = deliver(journey, position, way(), happened("Again", T + 1000 * SECOND))
    assert after is None or after.position.due_at == T + YEAR_SECONDS * SECOND


def test_a_rule_that_holds_on_arrival_passes_at_once() -> None:
    journey = compiled(waiting(A, {"rule": RULE, "next": "b"}), *ENDS)
    rule = journey.rule_ids["wait", 1]
    assert left(entered(journey, Known({rule: True}))) == "b"
    position = entered(journey, Known({rule: False})).position
    assert position.state == "waiting"
    woken = hold(journey, position, rule, T + 30 * SECOND)
    assert woken is not None
    assert woken.moves[0].outcome == "case_1"
    assert hold(journey, position, rule, T + 61 * SECOND) is None, "its time was up"
    assert hold(journey, position, UUID(int=77), T + 1) is None


# Goals and exit rules


def ending(**more: Any) -> Compiled:
    exit_rules = [{"event": "Refused", "reason": "refused"}]
    return compiled(delay(3600, "end"), END, exit_rules=exit_rules, **more)


def test_an_exit_rule_ends_the_journey_in_the_middle_of_a_delay() -> None:
    journey = ending()
    position = entered(journey).position
    after = deliver(journey, position, way(), happened("Refused", T + 5))
    assert after is not None
    assert (after.position.state, after.moves[0].outcome, after.moves[0].at) == (
        "exited",
        "refused",
        T + 5,
    )
    assert deliver(journey, position, way(), happened("Refused", T - 1)) is None, "before the entry"


def test_what_ends_the_journey_goes_before_what_passes_a_wait() -> None:
    goals = [{"id": "bought", "event": "Done"}]
    journey = compiled(wait(60), leave("yes"), leave("no"), goals=goals)
    after = deliver(journey, entered(journey).position, way(), happened("Done", T + 1))
    assert after is not None
    assert after.moves[0].outcome == "bought"


def test_a_goal_of_another_cart_does_not_end_this_one() -> None:
    goal = {"id": "bought", "event": "Bought", "match": {"cart": "cart"}, "value": "total"}
    journey = compiled(delay(3600, "end"), END, goals=[goal])
    walker = way(happened("Viewed", T, cart="A"))
    position = entered(journey, walker=walker).position
    assert deliver(journey, position, walker, happened("Bought", T + 1, cart="B")) is None
    after = deliver(journey, position, walker, happened("Bought", T + 1, cart="A", total=9.5))
    assert after is not None
    assert after.effects == [
        effects.Converted("bought", T + 1, 9.5),
        effects.Withdrawn(T + 1, "bought"),
    ]
    assert after.position.state == "exited"


def test_a_goal_that_does_not_exit_is_counted_on_the_way() -> None:
    journey = compiled(
        delay(3600, "end"), END, goals=[{"id": "read", "event": "Read", "exits": False}]
    )
    position = entered(journey).position
    after = deliver(journey, position, way(), happened("Read", T + 1, value=True))
    assert after is not None
    assert (after.position, after.moves) == (position, [])
    assert after.effects == [effects.Converted("read", T + 1, None)]


def test_a_rule_that_holds_ends_the_journey_before_a_message_is_made() -> None:
    mail = {"id": "hook", "type": "webhook", "channel_id": CHANNEL, "next": "end"}
    journey = compiled(mail, END, exit_rules=[{"rule": RULE, "reason": "pro"}])
    rule = journey.rule_ids["@exit", 0]
    step = entered(journey, Known({rule: True}))
    assert (step.effects, step.moves[-1].outcome) == ([effects.Withdrawn(T, "pro")], "pro")
    assert len(entered(journey, Known({rule: False})).effects) == 1


# Splits


def test_a_split_is_sticky_and_gives_each_arm_its_share() -> None:
    arms = [SplitArm(id=name, weight=weight, next="n") for name, weight in (("a", 3), ("b", 1))]
    people = [UUID(int=n) for n in range(4_000)]
    chosen = {person: arm_of(arms, "salt", person).id for person in people}
    assert {person: arm_of(arms, "salt", person).id for person in people} == chosen
    share = sum(arm == "a" for arm in chosen.values()) / len(people)
    assert abs(share - 0.75) < 0.03
    heavier = [arms[0].model_copy(update={"weight": 4}), arms[1]]
    moved = {p for p in people if arm_of(heavier, "salt", p).id != chosen[p]}
    assert {chosen[person] for person in moved} == {"b"}, "only to the arm that grew"


def test_a_split_that_chooses_each_time_divides_ways_not_people() -> None:
    arms = [{"id": "a", "weight": 1, "next": "a"}, {"id": "b", "weight": 1, "next": "b"}]
    node = {"id": "split", "type": "split", "arms": arms}
    ends = (leave("a"), leave("b"))
    sticky, anew = compiled(node, *ends), compiled({**node, "each_time": True}, *ends)

    def ways(journey: Compiled) -> set[str | None]:
        return {left(entered(journey, walker=way(rotation=n))) for n in range(1, 40)}

    assert len(ways(sticky)) == 1
    assert ways(anew) == {"a", "b"}
    people = {left(entered(sticky, walker=way(person=UUID(int=n)))) for n in range(40)}
    assert people == {"a", "b"}


# What acts


def test_acting_nodes_leave_their_effects_and_go_on() -> None:
    other, segment = UUID(int=5), UUID(int=6)
    journey = compiled(
        {"id": "traits", "type": "update_profile", "traits": {"x": 1}, "next": "list"},
        {"id": "list", "type": "list", "segment_id": str(segment), "next": "emit"},
        {"id": "emit", "type": "emit", "event": "E", "properties": {"p": 2}, "next": "call"},
        {"id": "call", "type": "journey", "journey_id": str(other), "next": "goal"},
        {"id": "goal", "type": "goal", "goal": "g", "next": "end"},
        END,
        goals=[{"id": "g", "event": "Never"}],
    )
    step = entered(journey)
    assert step.effects == [
        effects.TraitsSet("traits", 1, T, {"x": 1}),
        effects.ListChanged("list", 2, T, segment, "add"),
        effects.Emitted("emit", 3, T, "E", {"p": 2}),
        effects.Called("call", 4, T, other, {}),
        effects.Converted("g", T),
    ]
    assert left(step) == "end"


def test_a_task_waits_for_one_of_its_outcomes() -> None:
    outcomes = [{"id": "done", "next": "a"}, {"id": "gave_up", "next": "b"}]
    node = {"id": "task", "type": "task", "title": "Call", "department": "Service"}
    journey = compiled(
        {**node, "outcomes": outcomes, "timeout_seconds": 60, "on_timeout": "late"}, *ENDS
    )
    step = take(journey, enter(journey, T).position, way(), None, T)
    position = step.position
    assert position.state == "waiting", "it needs no facts"
    [asked] = step.effects
    assert asked == effects.TaskAsked("task", 1, T, T + 60 * SECOND, "Call", "Service")
    for outcome, target in (("done", "a"), ("gave_up", "b")):
        after = answer(journey, position, "task", 1, outcome, T + 5)
        assert after is not None
        assert after.position == Position("due", target, 2, T + 5, T + 5)
    assert answer(journey, position, "task", 1, "other", T) is None
    assert answer(journey, position, "task", 2, "done", T) is None, "of another visit"
    assert left(take(journey, position, way(), Known(), T + 60 * SECOND)) == "late"


@pytest.mark.parametrize("on_failure", [None, "failed"])
def test_a_webhook_that_is_listened_to_holds_people_until_its_answer(
    on_failure: str | None,
) -> None:
    node = {"id": "hook", "type": "webhook", "channel_id": CHANNEL, "next": "end"}
    answered_by: dict[str, Any] = {"capture": {"code": "data.code"}, "timeout_seconds": 60}
    journey = compiled({**node, **answered_by, "on_failure": on_failure}, END, leave("failed"))
    step = entered(journey)
    assert (step.position.state, step.position.node) == ("waiting", "hook")
    [sent] = step.effects
    assert isinstance(sent, effects.Send)
    answered = answer(journey, step.position, "hook", 1, "answered", T + 1)
    failed = answer(journey, step.position, "hook", 1, "failed", T + 1)
    assert answered is not None
    assert failed is not None
    assert answered.position.node == "end"
    assert failed.position.node == (on_failure or "end")
    late = take(journey, step.position, way(), Known(), T + 60 * SECOND)
    assert late.moves[0].outcome == "timeout"
    assert left(late) == (on_failure or "end")
