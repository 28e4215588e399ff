"""The simulation: its numbers add up, repeat, and equal a plain reading of the journey."""

import random
from collections import Counter
from itertools import pairwise
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.journeys.compiled import Compiled, Happening, compile_graph
from services.orchestrator.journeys.graph import Graph
from services.orchestrator.journeys.model import EXAMPLE_GRAPH
from services.orchestrator.journeys.position import ENTRY
from services.orchestrator.journeys.step import Known
from services.orchestrator.journeys.validate import findings
from services.orchestrator.replay.run import result_of
from services.orchestrator.replay.simulate import Simulation
from tests.orchestrator.journeys.graphs import (
    VERSION,
    branch,
    compiled,
    delay,
    email,
    graph,
    leave,
    wait,
)

HOUR = 3_600_000
JOURNEY, REPLAY = UUID(int=10), UUID(int=11)
OFFER = compile_graph(VERSION, Graph.model_validate(EXAMPLE_GRAPH))


def simulate(journey: Compiled, events: list[Happening], until: int, flips: int = 0) -> Simulation:
    """`flips`: seed of a coin that answers the branches, the same for a person and time."""

    def known(profile_id: UUID, now: int) -> Known:
        coin = random.Random(f"{flips}/{profile_id}/{now}")  # noqa: S311 - a test's coin
        return Known({rule: coin.random() < 0.5 for rule in journey.rule_ids.values()})

    simulation = Simulation(journey, JOURNEY, REPLAY, known)
    simulation.feed(sorted(events, key=lambda e: e.at))
    simulation.finish(until)
    return simulation


def story(*lines: tuple[int, int, str, str], kind: str = "bogo") -> list[Happening]:
    """(hour, person, event, offer) lines."""
    return [
        Happening(
            UUID(int=person),
            f"Offer {event}",
            f"m{index}",
            hour * HOUR,
            {"offer_id": offer, "offer_type": kind},
        )
        for index, (hour, person, event, offer) in enumerate(lines)
    ]


def numbers(events: list[Happening], until: int = 1_000 * HOUR) -> tuple[int, int, int]:
    result = result_of(simulate(OFFER, events, until))
    return result.entered, result.reminded, result.completed


def test_viewed_and_not_completed_is_reminded() -> None:
    assert numbers(story((0, 1, "Received", "a"), (1, 1, "Viewed", "a"))) == (1, 1, 0)


def test_a_completion_72_hours_later_to_the_moment_counts_as_completed() -> None:
    opened = [(0, 1, "Received", "a"), (1, 1, "Viewed", "a")]
    assert numbers(story(*opened, (73, 1, "Completed", "a"))) == (1, 0, 1)
    assert numbers(story(*opened, (74, 1, "Completed", "a"))) == (1, 1, 0)


def test_a_completion_in_the_moment_of_the_view_counts_in_any_order() -> None:
    lines = [(0, 1, "Received", "a"), (5, 1, "Completed", "a"), (5, 1, "Viewed", "a")]
    assert numbers(story(*lines)) == (1, 0, 1)
    assert numbers(story(lines[0], lines[2], lines[1])) == (1, 0, 1)


def test_a_view_after_the_completion_does_not_enter() -> None:
    lines = [(0, 1, "Received", "a"), (5, 1, "Completed", "a"), (6, 1, "Viewed", "a")]
    assert numbers(story(*lines)) == (0, 0, 0)


def test_the_same_offer_received_again_is_another_instance() -> None:
    lines = [
        (0, 1, "Received", "a"),
        (1, 1, "Viewed", "a"),
        (2, 1, "Viewed", "a"),
        (100, 1, "Received", "a"),
        (100, 1, "Viewed", "a"),
    ]
    assert numbers(story(*lines)) == (2, 2, 0)


def test_other_offers_and_other_people_do_not_count() -> None:
    lines = [
        (0, 1, "Received", "a"),
        (1, 1, "Viewed", "a"),
        (2, 1, "Completed", "b"),
        (2, 2, "Completed", "a"),
    ]
    assert numbers(story(*lines)) == (1, 1, 0)
    assert numbers(story(*lines[:2], kind="informational")) == (0, 0, 0)


def test_the_clock_decides_what_is_over() -> None:
    events = story((0, 1, "Received", "a"), (1, 1, "Viewed", "a"))
    assert numbers(events, 73 * HOUR - 1) == (1, 0, 0)
    assert numbers(events, 73 * HOUR) == (1, 1, 0)


LINES = st.lists(
    st.tuples(
        st.integers(0, 200),
        st.integers(1, 2),
        st.sampled_from(["Received", "Viewed", "Completed"]),
        st.sampled_from("ab"),
    ),
    max_size=25,
)


@given(LINES)
def test_the_offer_journey_equals_its_meaning_read_off_the_raw_events(
    lines: list[tuple[int, int, str, str]],
) -> None:
    entered = completed = 0
    for person, offer in {(p, o) for _, p, _, o in lines}:
        mine = [(h, e) for h, p, e, o in lines if (p, o) == (person, offer)]
        received = sorted({h for h, e in mine if e == "Received"})
        viewed = sorted(h for h, e in mine if e == "Viewed")
        done = [h for h, e in mine if e == "Completed"]
        for receipt, following in pairwise([*received, 10**9]):
            first = next((h for h in viewed if receipt <= h < following), None)
            if first is None or any(receipt <= h < first for h in done):
                continue
            entered += 1
            completed += any(first <= h <= first + 72 for h in done)
    assert numbers(story(*lines)) == (entered, entered - completed, completed)


NODE_IDS = ["n0", "n1", "n2", "n3", "n4"]


@st.composite
def journeys(draw: st.DrawFn) -> Compiled:
    """Any graph of five nodes that may be published."""
    target = st.sampled_from([*NODE_IDS, "end"])
    nodes: list[dict[str, Any]] = []
    for name in NODE_IDS:
        kind = draw(st.sampled_from(["delay", "wait", "branch", "email"]))
        if kind == "delay":
            nodes.append(delay(draw(st.integers(1, 9)), draw(target), name))
        elif kind == "wait":
            node = wait(draw(st.integers(1, 9)), draw(st.sampled_from("AB")), name, draw(target))
            nodes.append({**node, "on_timeout": draw(target)})
        elif kind == "branch":
            nodes.append(branch(draw(target), draw(target), draw(target), id=name))
        else:
            nodes.append(email(draw(target), name))
    mode = draw(st.sampled_from(["once", "after_exit", "concurrent_by_key"]))
    entry = {"event": "A", "entry_mode": mode, "instance_key": ["k"]}
    document = graph(*nodes, leave("end"), entry=entry)
    kept = document
    while any("leads" in found.detail for found in findings(kept)):
        gone = {
            int(found.pointer.rpartition("/")[2])
            for found in findings(kept)
            if "leads" in found.detail
        }
        kept = kept.model_copy(
            update={"nodes": [n for i, n in enumerate(kept.nodes) if i not in gone]}
        )
    if findings(kept):
        return compiled(leave("end"), entry=entry)
    return compile_graph(VERSION, kept)


EVENTS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 2), st.sampled_from("AB"), st.sampled_from("xy")),
    max_size=30,
)


def happenings(lines: list[tuple[int, int, str, str]]) -> list[Happening]:
    return [
        Happening(UUID(int=person), event, f"m{index}", 1_000 * second, {"k": key})
        for index, (second, person, event, key) in enumerate(lines)
    ]


@given(journeys(), EVENTS, st.integers(0, 60), st.integers(0, 5))
def test_inflow_is_waiting_and_passed_and_exited_at_every_node(
    journey: Compiled, lines: list[tuple[int, int, str, str]], end: int, flips: int
) -> None:
    simulation = simulate(journey, happenings(lines), 1_000 * end, flips)
    stats = result_of(simulation).stats
    assert stats.entered == stats.waiting + stats.exited
    for name, node in stats.nodes.items():
        assert node.entered == node.waiting + node.passed + node.exited, name
        assert sum(node.outcomes.values()) == node.passed + node.exited


@given(journeys(), EVENTS, st.integers(0, 5))
def test_the_same_events_and_seed_give_the_same_run(
    journey: Compiled, lines: list[tuple[int, int, str, str]], flips: int
) -> None:
    runs = [simulate(journey, happenings(lines), 60_000, flips) for _ in range(2)]
    first, second = runs
    assert first.flows == second.flows
    keys = [[(p.id, s.node, s.visit) for p, s in run.drain_sends()] for run in runs]
    assert keys[0] == keys[1]
    assert not [key for key, count in Counter(keys[0]).items() if count > 1]


@given(EVENTS)
def test_once_enters_once_per_key_and_after_exit_one_at_a_time(
    lines: list[tuple[int, int, str, str]],
) -> None:
    nodes = (delay(5, "end"), leave("end"))
    entry = {"event": "A", "instance_key": ["k"]}
    events = happenings(lines)
    once = simulate(compiled(*nodes, entry=entry), events, 0)
    keys = {(e.profile_id, e.properties["k"]) for e in events if e.event == "A"}
    assert once.flows[ENTRY, "entered", "delay"] == len(keys)
    again = compiled(*nodes, entry={**entry, "entry_mode": "after_exit"})
    expected = 0
    free_at: dict[UUID, int] = {}
    for event in sorted(events, key=lambda e: e.at):
        if event.event == "A" and free_at.get(event.profile_id, -1) < event.at:
            expected += 1
            free_at[event.profile_id] = event.at + 5_000
    assert simulate(again, events, 0).entered == expected
