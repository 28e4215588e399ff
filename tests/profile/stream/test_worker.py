"""From tracking's log to profiles and the change feed, over HTTP."""

import pytest

from tests.profile.conftest import World

pytestmark = pytest.mark.anyio

USER = ("user_id", "u1")
ANONYMOUS = ("anonymous_id", "a1")


async def test_an_identify_call_makes_a_profile_with_its_traits(world: World) -> None:
    said = world.event(USER, type="identify", traits={"plan": "pro", "age": 7})
    changes = await world.post(said)
    assert [(c.type, c.profile_id) for c in changes] == [
        ("event", said.subject_id),
        ("profile.updated", said.subject_id),
    ]
    assert changes[1].data == {"traits": {"age": 7, "plan": "pro"}}
    profile = await world.get(f"/profiles/{said.subject_id}")
    assert profile["traits"] == {"plan": "pro", "age": 7}
    assert profile["user_id"] == "u1"
    assert await world.get("/profiles", namespace="user_id", value=" u1 ") == {
        "items": [profile],
        "next_cursor": None,
    }


async def test_an_anonymous_profile_becomes_the_known_persons_and_keeps_resolving(
    world: World,
) -> None:
    before = world.event(ANONYMOUS)
    known = world.event(USER, type="identify", traits={"plan": "pro"})
    await world.post(before)
    await world.post(known)
    both = world.event(USER, ANONYMOUS, type="identify", traits={"city": "Köln"})
    changes = await world.post(both)
    assert [c.type for c in changes] == [
        "profile.merged",
        "event",
        "identity.linked",
        "profile.updated",
    ]
    merged, _, linked, _ = changes
    assert merged.profile_id == linked.profile_id == known.subject_id
    assert merged.data["merged_id"] == before.subject_id
    assert linked.data["subject_id"] == before.subject_id
    profile = await world.get(f"/profiles/{before.subject_id}")
    assert profile["id"] == known.subject_id
    assert profile["traits"] == {"plan": "pro", "city": "Köln"}
    assert profile["merged_ids"] == [before.subject_id]
    assert {i["namespace"] for i in profile["identifiers"]} == {"user_id", "anonymous_id"}
