"""The send ledger over HTTP."""

from uuid import uuid4

import pytest

from tests.orchestrator.conftest import World

pytestmark = pytest.mark.anyio


async def sent(world: World, count: int = 1) -> str:
    journey_id = await world.publish(await world.mail_graph())
    people = [world.person() for _ in range(count)]
    world.feed(*(world.event(person, "Viewed", offer_id="o") for person in people))
    await world.settle()
    return journey_id


async def test_an_unknown_message_is_settled_by_hand_once(world: World) -> None:
    world.mailbox.hang_up = True
    await sent(world)
    [message] = await world.messages(state="unknown")
    path = f"/messages/{message['id']}/resolve"
    resolved = await world.post(path, {"state": "accepted", "note": "seen in the log"})
    assert (resolved["state"], resolved["reason"]) == ("accepted", "seen in the log")
    again = await world.client.post(f"/api/v1{path}", json={"state": "failed"})
    assert (again.status_code, again.json()["state"]) == (409, "accepted")
    await world.tell()
    assert [o.event for o in world.neighbours.outcomes].count("Message Sent") == 1


async def test_messages_are_filtered_and_paged(world: World) -> None:
    journey_id = await sent(world, 3)
    whole = await world.messages(journey_id=journey_id, state="accepted")
    first = await world.get("/messages", limit=2)
    second = await world.get("/messages", limit=2, cursor=first["next_cursor"])
    assert first["items"] + second["items"] == whole
    [one] = await world.messages(profile_id=whole[0]["profile_id"])
    assert await world.get(f"/messages/{one['id']}") == one == whole[0]
    assert await world.messages(state="failed") == []
    assert await world.messages(node="other") == []
    assert await world.messages(journey_id=str(uuid4())) == []


# The same in every process of a run: it is part of the names of tests.
NOBODY = "018f0000-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/{NOBODY}", 404),
        ("POST", f"/{NOBODY}/resolve", 404),
        ("GET", "?state=lost", 422),
        ("GET", "?node=a%00b", 422),
        ("GET", "/nonsense", 422),
    ],
)
async def test_bad_requests_are_problems(world: World, method: str, path: str, status: int) -> None:
    body = {"state": "accepted"} if method == "POST" else None
    response = await world.client.request(method, f"/api/v1/messages{path}", json=body)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
