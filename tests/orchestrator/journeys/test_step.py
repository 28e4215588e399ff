"""The pure step: tables of where a participant goes."""

from typing import Any
from uuid import UUID

import pytest

from services.orchestrator.journeys.compiled import Compiled, Happening
from services.orchestrator.journeys.effects import Send
from services.orchestrator.journeys.listen import deliver as deliver_to
from services.orchestrator.journeys.position import Position, Step, Way, leave
from services.orchestrator.journeys.step import Known, enter
from services.orchestrator.journeys.step import take as take_
from tests.orchestrator.journeys import graphs
from tests.orchestrator.journeys.graphs import (
    SECOND,
    branch,
    compiled,
    delay,
    email,
    happened,
    wait,
)

T = 1_000_000
YES_NO = (graphs.leave("yes"), graphs.leave("no"))


def way(trigger: Happening | None = None) -> Way:
    return Way(graphs.PERSON, UUID(int=9), 1, T, trigger)


def take(
    journey: Compiled, position: Position, truths: dict[UUID, bool] | None, now: int, **more: Any
) -> Step:
    known = None if truths is None else Known(truths)
    return take_(journey, position, way(), known, now, **more)


def deliver(
    journey: Compiled, position: Position, trigger: Happening | None, event: Happening
) -> Step | None:
    return deliver_to(journey, position, way(trigger), event)


def sends(step: Step) -> list[tuple[str, int]]:
    return [(each.node, each.visit) for each in step.effects if isinstance(each, Send)]


def entered(journey: Compiled, now: int = T) -> Step:
    return take(journey, enter(journey, T).position, {}, now)


def outcomes(step: Step) -> list[tuple[str, str, str]]:
    return [(move.source, move.outcome, move.target) for move in step.moves]


def test_entering_is_the_first_arrival() -> None:
    step = enter(compiled(graphs.leave("end")), T)
    assert step.position == Position("due", "end", 1, T, T)
    assert outcomes(step) == [("@entry", "entered", "end")]


def test_a_delay_parks_until_its_end_and_ends_in_logical_time() -> None:
    journey = compiled(delay(60, "end"), graphs.leave("end"))
    parked = entered(journey)
    assert parked.position == Position("waiting", "delay", 1, T, T + 60 * SECOND)
    early = take(journey, parked.position, {}, T + 60 * SECOND - 1)
    assert early.position == parked.position
    late = take(journey, parked.position, {}, T + 600 * SECOND)
    assert late.position == Position("exited", "end", 2, T + 60 * SECOND, T + 60 * SECOND)
    assert outcomes(late) == [("delay", "elapsed", "end"), ("end", "end", "@exit")]


def test_delays_in_a_row_add_up_however_late_somebody_looks() -> None:
    journey = compiled(delay(60, "b", "a"), delay(30, "end", "b"), graphs.leave("end"))
    late = take(journey, entered(journey).position, {}, T + 86_400 * SECOND)
    assert late.position.arrived_at == T + 90 * SECOND


@pytest.mark.parametrize(
    ("at", "passes"),
    [
        (T - 1, False),
        (T, True),
        (T + 1, True),
        (T + 60 * SECOND, True),
        (T + 60 * SECOND + 1, False),
    ],
)
def test_a_wait_counts_events_from_arrival_to_deadline_both_included(at: int, passes: bool) -> None:
    journey = compiled(wait(60), *YES_NO)
    woken = deliver(journey, entered(journey).position, None, happened("Done", at))
    assert (woken is not None) is passes
    if woken is not None:
        assert woken.position == Position("due", "yes", 2, at, at)


def test_an_unanswered_wait_times_out() -> None:
    journey = compiled(wait(60), *YES_NO)
    step = take(journey, entered(journey).position, {}, T + 60 * SECOND)
    assert outcomes(step) == [("wait", "timeout", "no"), ("no", "no", "@exit")]


def test_a_wait_does_not_time_out_while_events_may_be_unknown() -> None:
    journey = compiled(wait(60), *YES_NO)
    position = entered(journey).position
    unknown = take(journey, position, {}, T + 90 * SECOND, known_until=T + 60 * SECOND - 1)
    assert unknown.position == position
    known = take(journey, position, {}, T + 90 * SECOND, known_until=T + 60 * SECOND)
    assert known.position.node == "no"


@pytest.mark.parametrize(
    ("properties", "passes"),
    [
        ({"offer_id": "o-1"}, True),
        ({"offer_id": "o-2"}, False),
        ({}, False),
        ({"offer_id": None}, False),
    ],
)
def test_a_wait_matches_properties_with_the_entry_event(
    properties: dict[str, Any], passes: bool
) -> None:
    journey = compiled(wait(60, match={"offer_id": "offer_id"}), *YES_NO)
    trigger = happened("Viewed", T, offer_id="o-1")
    event = happened("Done", T + 1, **properties)
    woken = deliver(journey, entered(journey).position, trigger, event)
    assert (woken is not None) is passes


def test_numbers_match_however_they_are_written() -> None:
    journey = compiled(wait(60, match={"order": "order"}), *YES_NO)
    trigger, event = happened("Viewed", T, order=7), happened("Done", T, order=7.0)
    assert deliver(journey, entered(journey).position, trigger, event) is not None


def test_the_entry_event_itself_is_not_the_awaited_one() -> None:
    journey = compiled(wait(60, event="Viewed"), *YES_NO)
    trigger = happened("Viewed", T)
    position = entered(journey).position
    assert deliver(journey, position, trigger, trigger) is None
    assert deliver(journey, position, trigger, happened("Viewed", T)) is not None


def test_a_wait_filters_the_event() -> None:
    rule = {"rules": [{"field": "properties.total", "operator": ">", "value": 10}]}
    journey = compiled(wait(60, where=rule), *YES_NO)
    position = entered(journey).position
    assert deliver(journey, position, None, happened("Done", T, total=5)) is None
    assert deliver(journey, position, None, happened("Done", T, total=50)) is not None


def test_an_event_that_came_on_the_way_passes_the_wait_when_it_is_reached() -> None:
    journey = compiled(delay(60, "wait"), wait(60), *YES_NO)
    position = entered(journey).position
    missed = [happened("Done", T + 60 * SECOND - 1), happened("Done", T + 70 * SECOND)]
    step = take(journey, position, {}, T + 75 * SECOND, missed=missed)
    assert step.position.node == "yes"
    assert step.position.arrived_at == T + 70 * SECOND
    assert step.consumed == [missed[1].message_id]


def test_one_event_passes_one_wait_only() -> None:
    second = wait(60, id="second")
    journey = compiled(wait(60, on_event="second"), second, *YES_NO)
    missed = [happened("Done", T + 1)]
    step = take(journey, enter(journey, T).position, {}, T + 2, missed=missed)
    assert (step.position.state, step.position.node) == ("waiting", "second")


def test_a_branch_takes_the_first_case_that_holds() -> None:
    journey = compiled(branch("no", "yes", "no"), *YES_NO)
    first, second = (journey.rule_ids["branch", index] for index in (0, 1))

    def goes(*holding: UUID) -> str:
        truths = dict.fromkeys(holding, True)
        return take(journey, enter(journey, T).position, truths, T).moves[0].outcome

    assert [goes(first, second), goes(second), goes()] == ["case_0", "case_1", "otherwise"]


def test_without_facts_the_way_ends_before_the_first_branch_or_send() -> None:
    for journey in (compiled(branch("no", "yes"), *YES_NO), compiled(email("end"), *_END)):
        position = enter(journey, T).position
        assert take(journey, position, None, T).position == position


_END = (graphs.leave("end"),)


def test_a_send_names_its_visit_and_goes_on() -> None:
    journey = compiled(email("again"), email("end", "again"), *_END)
    step = entered(journey)
    assert sends(step) == [("mail", 1), ("again", 2)]
    assert step.position.state == "exited"


def test_a_second_visit_of_a_node_has_another_key() -> None:
    journey = compiled(email("delay"), delay(60, "mail"))
    step = take(journey, enter(journey, T).position, {}, T + 120 * SECOND)
    assert sends(step) == [("mail", 1), ("mail", 3), ("mail", 5)]


def test_leaving_works_from_anywhere() -> None:
    journey = compiled(wait(60), *YES_NO)
    step = leave(entered(journey).position, "erased", T + 5)
    assert step.position.state == "exited"
    assert outcomes(step) == [("wait", "erased", "@exit")]
