"""No workspace takes the others' room on the way to ingestion, or makes them wait."""

import asyncio
from uuid import UUID

import pytest

from gateway import admission
from gateway.admission import Admission
from services.kit.problems import Unavailable

pytestmark = pytest.mark.anyio

LOUD, QUIET = UUID(int=1), UUID(int=2)


class Line:
    """Requests that stay at ingest until they are let go, in the order in which they got there."""

    def __init__(self, gate: Admission) -> None:
        self.gate = gate
        self.there: list[str] = []
        self._let_go: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, workspace_id: UUID, size: int = 100) -> None:
        self._let_go[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._pass(name, workspace_id, size))
        await asyncio.sleep(0)

    async def _pass(self, name: str, workspace_id: UUID, size: int) -> None:
        async with self.gate.turn(workspace_id, size):
            self.there.append(name)
            await self._let_go[name].wait()

    async def finish(self, name: str) -> None:
        self._let_go[name].set()
        await self._tasks[name]
        await asyncio.sleep(0)

    async def give_up(self, name: str) -> None:
        self._tasks[name].cancel()
        await asyncio.gather(self._tasks[name], return_exceptions=True)
        await asyncio.sleep(0)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    monkeypatch.setattr(admission, "WINDOW_REQUESTS", 3)
    monkeypatch.setattr(admission, "WINDOW_BYTES", 1000)
    monkeypatch.setattr(admission, "ALWAYS", 1)
    return Line(Admission(1))


async def test_workspaces_take_turns_however_many_requests_one_has_waiting(line: Line) -> None:
    for number in range(8):
        await line.come(f"loud{number}", LOUD)
    await line.come("quiet", QUIET)
    assert line.there == ["loud0", "loud1", "loud2"]
    await line.finish("loud0")
    await line.finish("loud1")
    assert line.there[3:] == ["loud3", "quiet"]


async def test_large_requests_fill_the_window_sooner_and_one_always_passes(line: Line) -> None:
    await line.come("huge", LOUD, 5000)
    await line.come("small", QUIET)
    assert line.there == ["huge"]
    await line.finish("huge")
    await line.come("most", LOUD, 900)
    await line.come("more", LOUD)
    assert line.there == ["huge", "small", "most"]
    await line.finish("small")
    assert line.there[3:] == ["more"]


async def test_who_gives_up_waiting_or_passing_makes_room(line: Line) -> None:
    for number in range(5):
        await line.come(f"loud{number}", LOUD)
    await line.give_up("loud3")
    await line.give_up("loud0")
    assert line.there == ["loud0", "loud1", "loud2", "loud4"]
    for number in (1, 2, 4):
        await line.finish(f"loud{number}")
    await line.come("next", LOUD)
    assert line.there[-1] == "next"


async def test_a_turn_given_to_one_that_gives_up_at_that_moment_is_not_lost(line: Line) -> None:
    for number in range(4):
        await line.come(f"loud{number}", LOUD)
    await line.come("quiet", QUIET)
    line._let_go["loud0"].set()
    await asyncio.sleep(0)
    # Its future is set, and it has not run yet.
    await line.give_up("loud3")
    assert line.there == ["loud0", "loud1", "loud2", "quiet"]


async def test_who_waits_for_too_long_is_turned_away_and_takes_nobody_s_turn(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await line.come(f"loud{number}", LOUD)
    monkeypatch.setattr(admission, "WAIT_SECONDS", 0.0)
    with pytest.raises(Unavailable):
        await line.gate.enter(QUIET, 100)
    monkeypatch.undo()
    await line.come("next", QUIET)
    await line.finish("loud0")
    assert line.there[3:] == ["next"]


def test_a_workspace_s_requests_are_bounded_by_number_and_size_and_one_always_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "MAX_REQUESTS", 2)
    monkeypatch.setattr(admission, "MAX_BYTES", 1000)
    gate = Admission(1)
    with gate.under_way(LOUD, 5000) as loud, gate.under_way(QUIET, 400), gate.under_way(QUIET, 600):
        loud(5000)
        for workspace_id in (LOUD, QUIET):
            with pytest.raises(Unavailable) as refused, gate.under_way(workspace_id, 1):
                pass
            assert refused.value.headers == {"Retry-After": "1"}
    with gate.under_way(LOUD, 600), gate.under_way(LOUD, 400):
        pass


def test_bytes_count_when_they_come_and_not_when_they_are_announced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "MAX_BYTES", 1000)
    gate = Admission(1)
    with gate.under_way(LOUD, 1000) as slow, gate.under_way(LOUD, 1000) as quick:
        quick(900)
        with pytest.raises(Unavailable):
            slow(101)
        slow(100)
        with pytest.raises(Unavailable), gate.under_way(LOUD, 1):
            pass
    with gate.under_way(LOUD, 1000), gate.under_way(LOUD, 1000):
        pass
