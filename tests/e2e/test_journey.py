"""What a journey does in other services comes back to it through profile's feed."""

from typing import Any
from uuid import uuid4

from tests.support.platform import Platform, identify, track
from tests.support.waiting import until


def test_a_journey_acts_on_other_services_and_hears_of_it(platform: Platform) -> None:
    user, entered, welcomed = f"u-{uuid4()}", f"Signed Up {uuid4()}", f"Welcomed {uuid4()}"
    bought = f"Bought {uuid4()}"
    people = platform.post("/segments", {"name": f"Welcomed {uuid4()}"})["id"]
    gold = {"rules": [{"field": "traits.tier", "operator": "=", "value": "gold"}]}
    task = {"title": "Call them", "department": "Service", "timeout_seconds": 3600}
    nodes: list[dict[str, Any]] = [
        {"id": "list", "type": "list", "segment_id": people, "next": "emit"},
        {"id": "emit", "type": "emit", "event": welcomed, "next": "traits"},
        {"id": "traits", "type": "update_profile", "traits": {"tier": "gold"}, "next": "wait"},
        {
            "id": "wait",
            "type": "wait",
            "branches": [{"rule": gold, "next": "task"}],
            "timeout_seconds": 3600,
            "on_timeout": "end",
        },
        {
            **{"id": "task", "type": "task", **task, "on_timeout": "end"},
            "outcomes": [{"id": "reached", "next": "later"}],
        },
        {"id": "later", "type": "delay", "seconds": 3600, "next": "end"},
        {"id": "end", "type": "exit"},
    ]
    entry = {"kind": "event", "event": entered, "next": "list"}
    goals = [{"id": "bought", "event": bought, "value": "total"}]
    graph = {"name": "Welcome", "entry": entry, "goals": goals, "nodes": nodes}
    journey_id = platform.post("/journeys", {"graph": graph})["id"]
    platform.post(f"/journeys/{journey_id}/publish", {})

    platform.batch(identify(user), track(user, entered))
    [asked] = until(
        lambda: platform.get("/tasks", journey_id=journey_id)["items"],
        within=30,
        what="the task, behind a wait for the trait that the journey set",
    )
    profile = platform.profile(user)
    assert profile is not None
    assert (profile["traits"]["tier"], asked["profile_id"]) == ("gold", profile["id"])
    members = platform.get(f"/segments/{people}/members")["items"]
    assert [member["profile_id"] for member in members] == [profile["id"]]
    platform.await_count(welcomed, 1)

    platform.put(f"/tasks/{asked['id']}/outcome", {"outcome": "reached"})
    platform.batch(track(user, bought, total=12.5))

    def stats() -> Any:
        found = platform.get(f"/journeys/{journey_id}/stats")
        return found if found["exits"] else None

    reached = until(stats, within=30, what="the goal, in the middle of a delay")
    assert reached["exits"] == {"bought": 1}
    assert reached["goals"] == {"bought": {"people": 1, "value": 12.5}}
    platform.await_count("Goal Reached", 1)
