"""What a plan does to an event in each mode: a table of cases."""

import json
from typing import Any
from uuid import UUID

import pytest

from services.contracts.events import Event
from services.contracts.tracking import PlanMode
from services.tracking.plans.apply import Plan, ViolatesPlan

PLAN_ID = UUID(int=7)
ORDER = {
    "type": "object",
    "required": ["order_id"],
    "properties": {
        "order_id": {"type": "string"},
        "total": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "items": {"type": "array", "items": {"properties": {"price": {"type": "number"}}}},
    },
}


def plan(mode: PlanMode = "observe", events: str = "allow", properties: str = "allow") -> Plan:
    named = {"Order": {"schema": ORDER}, "identify": {"schema": {"required": ["email"]}}}
    return Plan(
        PLAN_ID,
        3,
        mode,
        {"events": named, "unplanned_events": events, "unplanned_properties": properties},
    )


def event(name: str = "Order", context: str = "{}", **properties: Any) -> Event:
    return Event(
        message_id="m1",
        source_id="web",
        type="identify" if name == "identify" else "track",
        event=name,
        subject_id="",
        identifiers=[],
        user_id="u1",
        anonymous_id="",
        occurred_at=0,
        original_at=0,
        received_at=0,
        properties=json.dumps(properties),
        context=context,
    )


def notes(held: Event) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(held.context)["protocols"]
    assert (found.pop("plan"), found.pop("version")) == (str(PLAN_ID), 3)
    return found


@pytest.mark.parametrize(
    "context",
    [
        "{}",
        '{"locale":"en"}',
        '{"protocols":{"event_version":2,"violations":[{"type":"forged"}],"plan":"x"}}',
        '{"protocols":"text"}',
        '{"page":{"title":"\\"protocols\\""}}',
    ],
)
def test_a_valid_event_carries_the_version_it_was_checked_by(context: str) -> None:
    held = event(context=context, order_id="o1", extra=1)
    before = json.loads(context)
    plan().hold(held)
    after = json.loads(held.context)
    said = after.pop("protocols")
    event_version = {"event_version": 2} if "event_version" in context else {}
    assert said == {"plan": str(PLAN_ID), "version": 3, **event_version}
    before.pop("protocols", None)
    assert after == before
    assert json.loads(held.properties) == {"order_id": "o1", "extra": 1}


@pytest.mark.parametrize(
    ("properties", "kind", "field"),
    [
        ({}, "required_missing", "/properties/order_id"),
        ({"order_id": 7}, "type_mismatch", "/properties/order_id"),
        ({"order_id": "o", "tags": ["a", 1]}, "type_mismatch", "/properties/tags/1"),
        (
            {"order_id": "o", "items": [{"price": "x"}]},
            "type_mismatch",
            "/properties/items/0/price",
        ),
        ({"order_id": "o", "a/b": 1}, "unplanned_property", "/properties/a~1b"),
    ],
)
def test_observing_notes_and_changes_nothing(
    properties: dict[str, Any], kind: str, field: str
) -> None:
    held = event(**properties)
    plan(properties="violation").hold(held)
    (found,) = notes(held)["violations"]
    assert (found["type"], found["field"]) == (kind, field)
    assert json.loads(held.properties) == properties


@pytest.mark.parametrize(
    ("properties", "left", "gone"),
    [
        ({"order_id": "o", "total": "9"}, {"order_id": "o"}, ["/total"]),
        ({"order_id": "o", "tags": ["a", 1, 2]}, {"order_id": "o"}, ["/tags"]),
        (
            {"order_id": "o", "items": [{"price": "x", "n": 1}, {"price": 2}]},
            {"order_id": "o", "items": [{"n": 1}, {"price": 2}]},
            ["/items/0/price"],
        ),
        ({"total": 1}, {"total": 1}, None),
    ],
)
def test_omitting_takes_out_what_is_wrong(
    properties: dict[str, Any], left: dict[str, Any], gone: list[str] | None
) -> None:
    held = event(**properties)
    plan("omit").hold(held)
    assert json.loads(held.properties) == left
    assert notes(held)["violations"]
    assert notes(held).get("omitted_on_violation") == gone


def test_unplanned_properties_can_be_dropped_without_being_violations() -> None:
    held = event(order_id="o", extra=1)
    plan("block", properties="omit").hold(held)
    assert notes(held) == {"omitted": ["/extra"]}
    assert json.loads(held.properties) == {"order_id": "o"}


@pytest.mark.parametrize(
    ("mode", "reason"), [("quarantine", "plan_violation"), ("block", "plan_blocked")]
)
def test_quarantine_and_block_keep_the_event_out(mode: PlanMode, reason: str) -> None:
    with pytest.raises(ViolatesPlan) as kept:
        plan(mode).hold(event())
    assert (kept.value.reason, kept.value.pointer) == (reason, "/properties/order_id")
    record = json.loads(kept.value.record())
    assert (record["event"], record["version"], len(record["violations"])) == ("Order", 3, 1)


def test_unplanned_events_follow_the_policy() -> None:
    held = event("Unheard")
    plan("block").hold(held)
    assert held.context == "{}"
    with pytest.raises(ViolatesPlan):
        plan("block", events="violation").hold(event("Unheard"))
    plan("omit", events="violation").hold(held)
    assert notes(held)["violations"][0]["type"] == "unplanned_event"


def test_identify_is_held_to_its_traits_and_is_never_unplanned() -> None:
    person = event("identify")
    plan(events="violation").hold(person)
    assert notes(person)["violations"][0]["field"] == "/traits/email"
    other = event("identify")
    other.type, other.event = "alias", "alias"
    plan("block", events="violation").hold(other)
    assert other.context == "{}"


def test_many_errors_cost_a_bounded_note() -> None:
    held = event(order_id="o", tags=list(range(5_000)))
    plan("omit").hold(held)
    assert len(notes(held)["violations"]) == 20
    assert json.loads(held.properties) == {"order_id": "o"}
