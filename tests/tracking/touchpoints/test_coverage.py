"""Planned against seen: a table of touchpoints."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.contracts.tracking import Channel
from services.tracking.sources.store import Setting
from services.tracking.touchpoints.coverage import Declared, Entry, Seen, inventory

PLAN = UUID(int=1)
DOCUMENT: dict[str, Any] = {
    "events": {"Order": {"channels": ["app"]}, "View": {"description": "Looked at"}}
}


def setting(source_id: str, channel: Channel | None, planned: bool = True) -> Setting:
    now = datetime.now(UTC)
    if not planned:
        return Setting(source_id, channel, None, None, None, now)
    return Setting(source_id, channel, PLAN, 1, "observe", now)


def seen(source_id: str, event: str, count: int = 1, day: int = 1) -> Seen:
    at = datetime(2026, 3, day, tzinfo=UTC)
    return Seen(source_id, event, count, at, at)


def states(found: list[Entry]) -> list[tuple[str, str | None, str]]:
    return [(entry.source_id, entry.event, entry.status) for entry in found]


def take(*traffic: Seen, declared: list[Declared] | None = None) -> list[Entry]:
    settings = [setting("app", "app"), setting("web", "web"), setting("desk", "store", False)]
    return inventory(settings, {(PLAN, 1): DOCUMENT}, declared or [], traffic)


def test_a_plan_promises_its_events_for_each_source_of_their_channels() -> None:
    assert states(take(seen("web", "View"), seen("web", "Order"), seen("desk", "View"))) == [
        ("app", "Order", "missing"),
        ("app", "View", "missing"),
        ("desk", "View", "unplanned"),
        ("web", "Order", "unplanned"),
        ("web", "View", "seen"),
    ]


def test_a_declared_touchpoint_is_shown_by_any_source_of_its_channel() -> None:
    made = datetime(2026, 1, 1, tzinfo=UTC)
    declared = [
        Declared(UUID(int=2), "Till", "store", "Paid", made),
        Declared(UUID(int=3), "Hotline", "call_centre", None, made),
        Declared(UUID(int=4), "Kiosk", "web", "Paid", made),
    ]
    found = take(seen("desk", "Paid", 2, 5), seen("other", "Paid"), declared=declared)
    by_name = {entry.name: entry for entry in found}
    assert (by_name["Till"].status, by_name["Till"].count) == ("seen", 2)
    assert by_name["Till"].last_at == datetime(2026, 3, 5, tzinfo=UTC)
    assert (by_name["Hotline"].status, by_name["Kiosk"].status) == ("missing", "missing")
    assert by_name["Looked at"].event == "View"
    # Traffic that a declaration explains is not unplanned; that of an unknown channel is.
    assert [e.source_id for e in found if e.status == "unplanned"] == ["other"]
