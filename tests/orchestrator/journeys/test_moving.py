"""How people come from one version into the next: where to, for how long, and what edits are."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import pytest

from services.orchestrator.journeys import moving
from services.orchestrator.journeys.compiled import Compiled, compile_graph
from services.orchestrator.journeys.moving import Move
from services.orchestrator.journeys.position import Position, Step
from services.orchestrator.journeys.step import Known
from tests.orchestrator.journeys.graphs import (
    SECOND,
    branch,
    compiled,
    delay,
    email,
    graph,
    leave,
    wait,
)
from tests.orchestrator.journeys.ways import T

NEWER = UUID(int=7)
RULE = {"rules": [{"field": "traits.plan", "operator": "=", "value": "pro"}]}


def newer(*nodes: dict[str, Any], **more: Any) -> Compiled:
    return compile_graph(NEWER, graph(*nodes, **more))


def parked(node: str, seconds: int, **more: Any) -> Position:
    return Position("waiting", node, 3, T, T + seconds * SECOND, **more)


def moved(
    old: Compiled,
    new: Compiled,
    position: Position,
    *,
    after: int = 10,
    shortened: Literal["keep", "apply"] = "keep",
    **redirects: str | None,
) -> Position | Step:
    plan = Move("migrate", moving.redirects(old.graph, new.graph, redirects), shortened)
    return moving.move(old, new, plan, position, T + after * SECOND)


FOUR = (
    delay(60, "wait"),
    wait(60, on_event="branch"),
    branch("mail", "no", id="branch"),
    email("yes"),
    leave("yes"),
    leave("no"),
)


@pytest.mark.parametrize(
    ("left", "wished", "target"),
    [
        ({"delay", "wait", "yes"}, {}, "delay"),
        ({"wait", "yes"}, {}, "wait"),
        ({"branch", "no"}, {}, "no"),
        ({"mail", "yes"}, {}, None),
        ({"wait", "yes"}, {"delay": "yes"}, "yes"),
        ({"delay", "yes"}, {"delay": None}, None),
        ({"yes"}, {"wait": "yes"}, "yes"),
    ],
)
def test_people_go_to_the_next_node_that_is_left(
    left: set[str], wished: dict[str, str | None], target: str | None
) -> None:
    new = graph(*(leave(name) for name in sorted(left)))
    assert moving.redirects(graph(*FOUR), new, wished)["delay"] == target


def test_a_loop_of_nodes_that_are_gone_leads_nowhere() -> None:
    old = graph(delay(1, "b", id="a"), delay(1, "a", id="b"))
    assert moving.redirects(old, graph(leave("end")), {}) == {"a": None, "b": None}


def test_who_is_sent_to_another_node_arrives_there_now() -> None:
    old, new = compiled(delay(60, "end"), leave("end")), newer(leave("end"))
    assert moved(old, new, parked("delay", 60)) == Position("due", "end", 4, *[T + 10 * SECOND] * 2)


def test_a_node_of_another_kind_under_the_same_id_is_another_node() -> None:
    old = compiled(delay(60, "end", id="x"), leave("end"))
    new = newer(wait(60, id="x", on_event="end") | {"on_timeout": "end"}, leave("end"))
    assert moved(old, new, parked("x", 60)) == Position("due", "x", 4, *[T + 10 * SECOND] * 2)


def test_who_has_nowhere_to_go_leaves_and_a_stopped_version_lets_all_out() -> None:
    old, new = compiled(delay(60, "end"), leave("end")), newer(leave("other"))
    out = moved(old, new, parked("delay", 60))
    assert isinstance(out, Step)
    assert [move.outcome for move in out.moves] == ["journey_changed"]
    stop = moving.move(old, old, Move("stop", {}, "keep"), parked("delay", 60), T)
    assert isinstance(stop, Step)
    assert [move.outcome for move in stop.moves] == ["version_stopped"]


@pytest.mark.parametrize(
    ("seconds", "shortened", "due"),
    [
        (120, "keep", 120),
        (120, "apply", 120),
        (30, "keep", 60),
        (30, "apply", 30),
        (5, "keep", 60),
        (5, "apply", 10),
    ],
)
def test_a_longer_delay_holds_for_all_a_shorter_one_as_was_chosen(
    seconds: int, shortened: Literal["keep", "apply"], due: int
) -> None:
    old = compiled(delay(60, "end"), leave("end"))
    new = newer(delay(seconds, "end"), leave("end"))
    found = moved(old, new, parked("delay", 60), shortened=shortened)
    assert found == parked("delay", due)


def test_a_delay_until_a_date_is_moved_with_it() -> None:
    old = compiled(delay(60, "end"), leave("end"))
    until = datetime.fromtimestamp(T / 1000 + 900, UTC).isoformat()
    timed = {"id": "delay", "type": "delay", "until": until, "next": "end"}
    found = moved(old, newer(timed, leave("end")), parked("delay", 60))
    assert found == parked("delay", 900)


def test_a_time_that_asks_the_person_is_found_anew_from_now() -> None:
    old = compiled(delay(60, "end"), leave("end"))
    timed = {"id": "delay", "type": "delay", "local_time": {"time": "09:00"}, "next": "end"}
    found = moved(old, newer(timed, leave("end")), parked("delay", 60))
    assert found == Position("due", "delay", 3, T + 10 * SECOND, T + 10 * SECOND)


def test_a_timeout_that_was_begun_anew_keeps_what_it_gained() -> None:
    ends = (leave("yes"), leave("no"))
    old, new = compiled(wait(60), *ends), newer(wait(90), *ends)
    assert moved(old, new, parked("wait", 80)) == parked("wait", 110)


def test_who_is_due_and_who_waits_at_an_unchanged_node_keep_everything() -> None:
    old = compiled(delay(60, "end"), leave("end"))
    new = newer(delay(60, "end"), leave("end"), name="Other")
    assert moved(old, new, parked("delay", 60)) == parked("delay", 60)
    due = replace(parked("delay", 0), state="due")
    assert moved(old, newer(delay(5, "end"), leave("end")), due) == due


def test_the_best_branch_so_far_stays_the_best_where_it_is_still_there() -> None:
    ends = (leave("yes"), leave("no"))
    first, second, third = ({"event": name, "next": "yes"} for name in "ABC")
    ranked = {"ranked": True}
    old = compiled(wait(60) | ranked | {"branches": [first, second]}, *ends)
    swapped = newer(wait(60) | ranked | {"branches": [third, first, second]}, *ends)
    assert moved(old, swapped, parked("wait", 60, best=1)) == parked("wait", 60, best=2)
    without = newer(wait(60) | ranked | {"branches": [first, third]}, *ends)
    assert moved(old, without, parked("wait", 60, best=1)) == parked("wait", 60)


def test_a_rule_that_holds_already_passes_a_wait_that_now_asks_for_it() -> None:
    ends = (leave("yes"), leave("no"))
    old = compiled(wait(60), *ends)
    new = newer(wait(60) | {"branches": [{"rule": RULE, "next": "yes"}]}, *ends)
    holds = Known({new.rule_ids["wait", 0]: True})
    step = moving.listen_anew(old, new, parked("wait", 60), holds, T + SECOND)
    assert step is not None
    assert step.position == Position("due", "yes", 4, T + SECOND, T + SECOND)
    assert moving.listen_anew(old, new, parked("wait", 60), Known(), T) is None
    assert moving.listen_anew(new, new, parked("wait", 60), holds, T) is None


def test_edits_name_what_was_added_removed_and_changed() -> None:
    old = graph(delay(60, "mail"), email("end"), leave("end"))
    new = graph(delay(30, "wait"), wait(1, on_event="end"), leave("end"), leave("no"), name="New")
    assert [(e.place, e.change, e.fields) for e in moving.edits(old, new)] == [
        ("name", "changed", []),
        ("delay", "changed", ["seconds", "next"]),
        ("wait", "added", []),
        ("no", "added", []),
        ("mail", "removed", []),
    ]
