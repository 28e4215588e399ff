"""An undone merge in the engine: nothing is taken back, and nothing happens a second time."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from services.contracts.changes import Change
from tests.orchestrator.conftest import World
from tests.support.app import service_headers

pytestmark = pytest.mark.anyio


def merged(world: World, winner: UUID, loser: UUID) -> Change:
    return Change("profile.merged", str(winner), world.clock.now, {"merged_id": str(loser)})


def unmerged(world: World, goes_on: UUID, lives: UUID) -> Change:
    data = {
        "merge_id": str(uuid4()),
        "merged_id": str(lives),
        "subject_ids": [str(lives)],
        "kept_subject_ids": [str(goes_on)],
    }
    return Change("profile.unmerged", str(goes_on), world.clock.now, data)


async def once(world: World, **more: Any) -> str:
    graph = await world.mail_graph(**more)
    graph["entry"] |= {"entry_mode": "once"}
    return await world.publish(graph)


@pytest.mark.parametrize("one_block", [True, False])
async def test_neither_of_the_two_gets_again_what_the_one_person_got(
    world: World, one_block: bool
) -> None:
    journey_id = await once(world)
    loser, winner = world.person(), world.person()
    world.feed(world.event(loser, "Viewed", offer_id="o"))
    await world.settle()
    assert len(world.mailbox.messages) == 1
    changes = [
        merged(world, winner, loser),
        unmerged(world, winner, loser),
        *(world.consent(person) for person in (winner, loser)),
        *(world.event(person, "Viewed", offer_id="o") for person in (loser, winner)),
    ]
    if one_block:
        world.feed(*changes)
    else:
        for change in changes:
            world.feed(change)
            await world.settle()
    await world.settle()
    assert len(world.mailbox.messages) == 1
    [message] = await world.messages(journey_id=journey_id)
    assert message["profile_id"] == str(winner), "what was sent stays where it is"


async def test_after_an_undo_in_the_same_block_the_two_enter_as_two(world: World) -> None:
    journey_id = await once(world)
    loser, winner = world.person(), world.person()
    world.feed(
        merged(world, winner, loser),
        unmerged(world, winner, loser),
        *(world.consent(person) for person in (winner, loser)),
        *(world.event(person, "Viewed", offer_id="o") for person in (loser, winner)),
    )
    await world.settle()
    people = {m["profile_id"] for m in await world.messages(journey_id=journey_id)}
    assert people == {str(loser), str(winner)}


async def test_consents_of_both_begin_anew_with_what_is_told_after_the_undo(world: World) -> None:
    """The loser's withdrawal is later than the winner's grant, and is the loser's alone again."""
    journey_id = await world.publish(await world.mail_graph())
    loser, winner = world.person(), world.person()
    granted = world.consent(winner)
    world.clock.advance(seconds=5)
    withdrawn = world.consent(loser, "withdrawn")
    for change in (withdrawn, merged(world, winner, loser)):
        world.feed(change)
        await world.settle()
    world.feed(unmerged(world, winner, loser), granted, withdrawn)
    world.feed(*(world.event(person, "Viewed", offer_id="o") for person in (loser, winner)))
    await world.settle()
    states = {m["profile_id"]: m["state"] for m in await world.messages(journey_id=journey_id)}
    assert states == {str(winner): "accepted", str(loser): "skipped"}


async def test_the_impact_counts_participants_by_version_and_messages(world: World) -> None:
    journey_id = await once(world, name="Welcome")
    person, stranger = world.person(), world.person()
    world.feed(*(world.event(p, "Viewed", offer_id="o") for p in (person, stranger)))
    await world.settle()
    headers = service_headers("profile", "orchestrator", world.workspace_id)
    body = {"profile_ids": [str(person), str(uuid4())]}
    answer = await world.client.post("/internal/v1/impact", json=body, headers=headers)
    assert answer.json() == {
        "journeys": [
            {
                "journey_id": journey_id,
                "name": "Welcome",
                "version": 1,
                "participating": 0,
                "exited": 1,
            }
        ],
        "messages": {"accepted": 1},
    }
    as_user = await world.client.post("/internal/v1/impact", json=body)
    assert as_user.status_code == 403
    other = service_headers("profile", "orchestrator", uuid4())
    answer = await world.client.post("/internal/v1/impact", json=body, headers=other)
    assert answer.json() == {"journeys": [], "messages": {}}
