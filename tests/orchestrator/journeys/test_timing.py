"""How long nodes hold people: durations, times of day, traits, windows."""

from typing import Any

import pytest
from pydantic import ValidationError

from services.orchestrator.journeys.position import Position
from services.orchestrator.journeys.step import Known, enter, take
from tests.orchestrator.journeys.graphs import (
    compiled,
    leave,
)
from tests.orchestrator.journeys.ways import BERLIN, T, entered, known, left, ms, way

END = leave("end")


# Delays and windows: 08:00 UTC is 16:00 in Shanghai and 09:00 in Berlin in November.


@pytest.mark.parametrize(
    ("fields", "person", "due_at"),
    [
        ({"until": "2026-11-26T09:00:00+01:00"}, known(), None),
        ({"until": "2026-11-26T10:00:00+01:00"}, known(), ms(2026, 11, 26, 9)),
        ({"local_time": {"time": "17:00"}}, known(), ms(2026, 11, 26, 9)),
        ({"local_time": {"time": "15:00"}}, known(), ms(2026, 11, 27, 7)),
        ({"local_time": {"time": "16:00"}}, known(), ms(2026, 11, 27, 8)),
        ({"local_time": {"time": "17:00"}}, known(BERLIN), ms(2026, 11, 26, 16)),
        ({"local_time": {"time": "09:00", "weekdays": [1]}}, known(), ms(2026, 11, 30, 1)),
        ({"trait_time": {"trait": "born"}}, known(born="2026-12-01"), ms(2026, 12, 1, 1)),
        (
            {"trait_time": {"trait": "born", "offset_seconds": -3600, "time": "10:00"}},
            known(born="2026-12-01"),
            ms(2026, 12, 1, 1),
        ),
        (
            {"trait_time": {"trait": "a.b"}},
            known(a={"b": "2026-12-01T00:00:00Z"}),
            ms(2026, 12, 1),
        ),
        (
            {"trait_time": {"trait": "at"}},
            known(at="2026-12-01T08:00:00"),
            ms(2026, 12, 1),
        ),
        ({"trait_time": {"trait": "born"}}, known(born="2020-12-01"), None),
        ({"trait_time": {"trait": "born"}}, known(born="soon"), None),
        ({"trait_time": {"trait": "born"}}, known(born=17), None),
        ({"trait_time": {"trait": "born"}}, known(), None),
    ],
)
def test_a_delay_ends_at_the_time_it_names(
    fields: dict[str, Any], person: Known, due_at: int | None
) -> None:
    journey = compiled({"id": "delay", "type": "delay", **fields, "next": "end"}, END)
    step = entered(journey, person)
    if due_at is None:
        assert left(step) == "end", "what is past or says no time holds nobody"
    else:
        assert step.position == Position("waiting", "delay", 1, T, due_at)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "given: none"),
        ({"seconds": 1, "until": "2026-11-26T10:00:00Z"}, "given: seconds and until"),
        ({"local_time": {"time": "24:00"}}, "HH:MM"),
        ({"local_time": {"time": "9:00"}}, "HH:MM"),
        ({"until": "2026-11-26T10:00:00"}, "timezone"),
    ],
)
def test_a_delay_says_what_it_takes(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        compiled({"id": "delay", "type": "delay", **fields, "next": "end"}, END)


def test_a_time_of_day_stays_what_it_is_when_clocks_change() -> None:
    """Berlin leaves 02:00-03:00 out on 29 March 2026 and has it twice on 25 October."""
    node = {"id": "delay", "type": "delay", "next": "end"}
    journey = compiled({**node, "local_time": {"time": "02:30"}}, END)

    def due(at: int) -> int:
        parked = take(journey, enter(journey, at).position, way(), known(BERLIN), at)
        return parked.position.due_at

    assert due(ms(2026, 3, 28, 12)) == ms(2026, 3, 29, 1, 30), "left out: an hour later, 03:30"
    assert due(ms(2026, 10, 24, 12)) == ms(2026, 10, 25, 0, 30), "twice: the first time"
    assert due(ms(2026, 10, 25, 12)) == ms(2026, 10, 26, 1, 30)


@pytest.mark.parametrize(
    ("start", "end", "weekdays", "opens"),
    [
        ("09:00", "18:00", [1, 2, 3, 4, 5, 6, 7], None),
        ("16:00", "18:00", [4], None),
        ("09:00", "16:00", [1, 2, 3, 4, 5, 6, 7], ms(2026, 11, 27, 1)),
        ("17:00", "18:00", [4], ms(2026, 11, 26, 9)),
        ("09:00", "18:00", [1], ms(2026, 11, 30, 1)),
        # Over midnight: Wednesday's window ends on Thursday at 17:00, Thursday's begins at 20:00.
        ("20:00", "17:00", [3], None),
        ("20:00", "17:00", [4], ms(2026, 11, 26, 12)),
    ],
)
def test_a_window_lets_through_while_it_is_open(
    start: str, end: str, weekdays: list[int], opens: int | None
) -> None:
    node = {"id": "window", "type": "time_window", "start": start, "end": end, "next": "end"}
    step = entered(compiled({**node, "weekdays": weekdays}, END), known())
    if opens is None:
        assert left(step) == "end"
    else:
        assert step.position == Position("waiting", "window", 1, T, opens)


def test_without_facts_nobody_enters_a_window_of_their_zone() -> None:
    node = {"id": "w", "type": "time_window", "start": "09:00", "end": "18:00", "next": "end"}
    journey = compiled(node, END)
    assert take(journey, enter(journey, T).position, way(), None, T).moves == []
