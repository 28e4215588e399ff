"""The live engine over HTTP neighbours and a real database: entries, waits, wake-ups, merges."""

from typing import Any
from uuid import UUID

import pytest

from services.contracts.changes import Change
from services.kit.postgres import workspace_tx
from services.orchestrator import workers
from services.orchestrator.engine.follow import FeedMoved, Listening, apply, decode
from services.orchestrator.journeys.model import EXAMPLE_GRAPH
from tests.orchestrator.conftest import World
from tests.orchestrator.journeys.graphs import branch, delay, leave, wait

pytestmark = pytest.mark.anyio

DAY = 86_400


def journey(*nodes: dict[str, Any], **entry: Any) -> dict[str, Any]:
    return {
        "name": "J",
        "entry": {"kind": "event", "event": "Viewed", "next": nodes[0]["id"], **entry},
        "nodes": list(nodes),
    }


YES_NO = (leave("yes"), leave("no"))
KEYED = {"instance_key": ["offer_id"]}
WAITING = journey(wait(60, match={"offer_id": "offer_id"}), *YES_NO, **KEYED)


async def exits(world: World, journey_id: str) -> dict[str, int]:
    return dict((await world.get(f"/journeys/{journey_id}/stats"))["exits"])


async def test_an_event_in_time_passes_the_wait(world: World) -> None:
    journey_id = await world.publish(WAITING)
    person = world.person()
    world.feed(world.event(person, "Viewed", offer_id="o"))
    await world.settle()
    [waiting] = (await world.get(f"/journeys/{journey_id}/participants"))["items"]
    assert (waiting["state"], waiting["node"]) == ("waiting", "wait")
    world.clock.advance(seconds=30)
    world.feed(world.event(person, "Done", offer_id="other"))
    world.feed(world.event(person, "Done", offer_id="o"))
    await world.settle()
    assert await exits(world, journey_id) == {"yes": 1}


async def test_a_wait_times_out_once_the_feed_is_known_to_its_end(world: World) -> None:
    journey_id = await world.publish(WAITING)
    world.feed(world.event(world.person(), "Viewed", offer_id="o"))
    await world.settle()
    world.clock.advance(seconds=61)
    await world.execute()
    assert await exits(world, journey_id) == {}, "an event of that minute may still be unread"
    await world.settle()
    assert await exits(world, journey_id) == {"no": 1}


async def test_an_event_read_late_but_done_in_time_beats_the_timer(world: World) -> None:
    journey_id = await world.publish(WAITING)
    person = world.person()
    world.feed(world.event(person, "Viewed", offer_id="o"))
    await world.settle()
    deadline = world.clock.now + 60_000
    world.clock.advance(seconds=3_600)
    world.feed(world.event(person, "Done", at=deadline, offer_id="o"))
    await world.settle()
    assert await exits(world, journey_id) == {"yes": 1}


async def test_entry_and_awaited_event_in_one_page_are_both_seen(world: World) -> None:
    journey_id = await world.publish(WAITING)
    person = world.person()
    world.feed(
        world.event(person, "Viewed", offer_id="o"), world.event(person, "Done", offer_id="o")
    )
    await world.settle()
    assert await exits(world, journey_id) == {"yes": 1}


async def test_an_event_that_comes_while_the_participant_is_on_the_way_is_not_lost(
    world: World,
) -> None:
    nodes = (branch("wait", "wait"), wait(60), *YES_NO)
    journey_id = await world.publish(journey(*nodes))
    person = world.person()
    world.feed(world.event(person, "Viewed"))
    await world.follow()
    world.feed(world.event(person, "Done"))
    await world.follow()
    assert await exits(world, journey_id) == {}
    await world.execute()
    assert await exits(world, journey_id) == {"yes": 1}


async def test_an_event_after_a_delays_end_that_nobody_looked_at_yet_is_not_lost(
    world: World,
) -> None:
    journey_id = await world.publish(journey(delay(60, "wait"), wait(60), *YES_NO))
    person = world.person()
    world.feed(world.event(person, "Viewed"))
    await world.settle()
    world.clock.advance(seconds=90)
    world.feed(world.event(person, "Done"))
    await world.settle()
    assert await exits(world, journey_id) == {"yes": 1}


async def test_an_event_before_the_wait_is_reached_does_not_count(world: World) -> None:
    journey_id = await world.publish(journey(delay(60, "wait"), wait(60), *YES_NO))
    person = world.person()
    world.feed(world.event(person, "Viewed"), world.event(person, "Done"))
    await world.settle()
    world.clock.advance(seconds=200)
    await world.settle()
    assert await exits(world, journey_id) == {"no": 1}


async def test_a_page_delivered_twice_changes_nothing(world: World) -> None:
    journey_id = await world.publish(await world.mail_graph())
    world.feed(world.event(world.person(), "Viewed", offer_id="o"))
    await world.settle()
    page = await world.engine.feed.read(str(world.workspace_id), 0, wait=0)
    library = world.engine.executor.library
    async with workspace_tx(world.engine.maker, world.workspace_id) as session:
        running, heard = await library.running(session)
        again = apply(
            session,
            world.workspace_id,
            0,
            page.end,
            decode(page.rows),
            library,
            Listening(running, heard, {}),
            world.clock(),
        )
        with pytest.raises(FeedMoved):
            await again
    await world.settle()
    assert (await world.get(f"/journeys/{journey_id}/stats"))["entered"] == 1
    assert len(world.mailbox.messages) == 1


async def test_an_old_event_starts_nothing_but_is_an_anchor(world: World) -> None:
    document = {
        **EXAMPLE_GRAPH,
        "nodes": [
            EXAMPLE_GRAPH["nodes"][0],
            *(leave(name) for name in ("completed", "remind")),
        ],
    }
    journey_id = await world.publish(document)
    person = world.person()
    offer: dict[str, Any] = {"offer_id": "o", "offer_type": "bogo"}
    old = world.clock.now - 2 * DAY * 1000
    world.feed(
        world.event(person, "Offer Received", at=old, **offer),
        world.event(person, "Offer Viewed", at=old + 1, **offer),
    )
    await world.settle()
    assert (await world.get(f"/journeys/{journey_id}/stats"))["entered"] == 0
    world.feed(world.event(person, "Offer Viewed", **offer))
    await world.settle()
    assert (await world.get(f"/journeys/{journey_id}/stats"))["entered"] == 1


async def test_live_anchors_bar_and_open_entry_across_pages(world: World) -> None:
    nodes = [EXAMPLE_GRAPH["nodes"][0], leave("completed"), leave("remind")]
    journey_id = await world.publish({**EXAMPLE_GRAPH, "nodes": nodes})
    person = world.person()
    offer: dict[str, Any] = {"offer_id": "o", "offer_type": "bogo"}

    async def step(name: str) -> int:
        world.clock.advance(seconds=1)
        world.feed(world.event(person, f"Offer {name}", **offer))
        await world.settle()
        return int((await world.get(f"/journeys/{journey_id}/stats"))["entered"])

    assert await step("Viewed") == 0
    assert await step("Received") == 0
    assert await step("Completed") == 0
    assert await step("Viewed") == 0
    assert await step("Received") == 0
    assert await step("Viewed") == 1
    assert await step("Viewed") == 1
    assert await step("Received") == 1
    assert await step("Viewed") == 2


@pytest.mark.parametrize(
    ("mode", "entered"),
    [("once", [1, 1, 2, 2]), ("after_exit", [1, 1, 1, 2]), ("concurrent_by_key", [1, 1, 2, 3])],
)
async def test_entry_modes(world: World, mode: str, entered: list[int]) -> None:
    document = journey(delay(60, "yes"), leave("yes"), entry_mode=mode, **KEYED)
    journey_id = await world.publish(document)
    person = world.person()
    counts = []
    for offer, seconds in (("a", 0), ("a", 1), ("b", 1), ("a", 120)):
        world.clock.advance(seconds=seconds)
        await world.settle()
        world.feed(world.event(person, "Viewed", offer_id=offer))
        await world.settle()
        counts.append((await world.get(f"/journeys/{journey_id}/stats"))["entered"])
    assert counts == entered


async def test_the_cooldown_counts_from_leaving(world: World) -> None:
    document = journey(leave("yes"), entry_mode="after_exit", cooldown_seconds=100)
    journey_id = await world.publish(document)
    person = world.person()
    for seconds, entered in ((0, 1), (99, 1), (1, 2)):
        world.clock.advance(seconds=seconds)
        world.feed(world.event(person, "Viewed"))
        await world.settle()
        assert (await world.get(f"/journeys/{journey_id}/stats"))["entered"] == entered


async def test_people_enter_when_they_come_into_a_segment(world: World) -> None:
    segment = str(UUID(int=7))
    entry = {"kind": "segment", "segment_id": segment, "next": "yes"}
    journey_id = await world.publish({"name": "S", "entry": entry, "nodes": [leave("yes")]})
    person = world.person()
    world.feed(
        Change("segment.exited", str(person), world.clock.now, {"segment_id": segment}),
        Change("segment.entered", str(person), world.clock.now, {"segment_id": str(UUID(int=8))}),
    )
    await world.settle()
    assert await exits(world, journey_id) == {}
    world.feed(Change("segment.entered", str(person), world.clock.now, {"segment_id": segment}))
    await world.settle()
    assert await exits(world, journey_id) == {"yes": 1}


async def test_branches_ask_profile_once_per_block_at_the_applied_position(world: World) -> None:
    journey_id = await world.publish(journey(branch("no", "yes"), *YES_NO))
    [rule_id] = world.neighbours.rules
    people = [world.person(rules={rule_id: n < 2}) for n in range(5)]
    world.feed(*(world.event(person, "Viewed") for person in people))
    await world.settle()
    assert await exits(world, journey_id) == {"yes": 2, "no": 3}
    [asked] = world.neighbours.facts_asked
    assert len(asked.profile_ids) == 5
    assert asked.min_position == 6


async def test_while_profile_is_down_people_rest_and_go_on_soon_after(world: World) -> None:
    journey_id = await world.publish(journey(branch("no", "yes"), *YES_NO))
    world.feed(world.event(world.person(), "Viewed"))
    await world.follow()
    world.neighbours.down.add("facts")
    with pytest.raises(workers.TRANSIENT):
        await world.execute()
    world.neighbours.down.clear()
    world.clock.advance(seconds=1)
    await world.settle()
    assert await exits(world, journey_id) == {"no": 1}


async def test_a_paused_journey_lets_nobody_in_and_moves_nobody(world: World) -> None:
    journey_id = await world.publish(journey(delay(60, "yes"), leave("yes")))
    world.feed(world.event(world.person(), "Viewed"))
    await world.settle()
    paused = await world.post(f"/journeys/{journey_id}/pause")
    assert paused["state"] == "paused"
    world.clock.advance(seconds=100)
    world.feed(world.event(world.person(), "Viewed"))
    await world.settle()
    assert await exits(world, journey_id) == {}
    await world.post(f"/journeys/{journey_id}/resume")
    await world.settle()
    assert await exits(world, journey_id) == {"yes": 1}


async def test_archiving_lets_everybody_out_with_that_reason(world: World) -> None:
    journey_id = await world.publish(WAITING)
    world.feed(world.event(world.person(), "Viewed", offer_id="o"))
    await world.settle()
    await world.post(f"/journeys/{journey_id}/archive")
    world.clock.advance(seconds=10**9)
    await world.settle()
    assert await exits(world, journey_id) == {"journey_archived": 1}


async def test_a_new_version_takes_new_people_and_leaves_the_others_alone(world: World) -> None:
    journey_id = await world.publish(WAITING)
    world.feed(world.event(world.person(), "Viewed", offer_id="o"))
    await world.settle()
    newer = journey(leave("straight"), **KEYED)
    await world.client.put(f"/api/v1/journeys/{journey_id}", json={"graph": newer})
    published = await world.post(f"/journeys/{journey_id}/publish")
    assert published["version"]["number"] == 2
    world.feed(world.event(world.person(), "Viewed", offer_id="o"))
    await world.settle()
    world.clock.advance(seconds=61)
    await world.settle()
    assert await exits(world, journey_id) == {"straight": 1, "no": 1}
    second = await world.get(f"/journeys/{journey_id}/stats", version=2)
    assert second["exits"] == {"straight": 1}


async def test_after_a_merge_the_losers_journey_goes_on_as_the_winners(world: World) -> None:
    journey_id = await world.publish(WAITING)
    loser, winner = world.person(), world.person()
    world.feed(world.event(loser, "Viewed", offer_id="o"))
    await world.settle()
    world.feed(
        Change("profile.merged", str(winner), world.clock.now, {"merged_id": str(loser)}),
        world.event(winner, "Done", offer_id="o"),
    )
    await world.settle()
    [participant] = (await world.get(f"/journeys/{journey_id}/participants"))["items"]
    assert (participant["profile_id"], participant["exit_reason"]) == (str(winner), "yes")


async def test_of_two_live_participants_of_one_key_the_earlier_stays_after_a_merge(
    world: World,
) -> None:
    journey_id = await world.publish(WAITING)
    loser, winner = world.person(), world.person()
    world.feed(world.event(winner, "Viewed", offer_id="o"))
    world.clock.advance(seconds=1)
    world.feed(world.event(loser, "Viewed", offer_id="o"))
    await world.settle()
    world.feed(Change("profile.merged", str(winner), world.clock.now, {"merged_id": str(loser)}))
    await world.settle()
    assert await exits(world, journey_id) == {"merged": 1}
    world.clock.advance(seconds=120)
    world.feed(world.event(winner, "Viewed", offer_id="o"))
    await world.settle()
    assert await exits(world, journey_id) == {"merged": 1, "no": 1}
    people = (await world.get(f"/journeys/{journey_id}/participants"))["items"]
    assert {p["profile_id"] for p in people} == {str(winner)}
    assert sorted(p["rotation"] for p in people) == [1, 2]


async def test_an_erased_person_leaves_and_gets_nothing(world: World) -> None:
    journey_id = await world.publish(await world.mail_graph())
    person = world.person()
    world.feed(world.event(person, "Viewed", offer_id="o"))
    await world.follow()
    await world.execute()
    world.feed(Change("profile.erased", str(person), world.clock.now))
    await world.settle()
    assert world.mailbox.messages == []
    [message] = await world.messages(journey_id=journey_id)
    assert (message["state"], message["reason"]) == ("skipped", "erased")


async def test_outcomes_wait_for_tracking_and_are_told_once(world: World) -> None:
    await world.publish(journey(leave("yes")))
    world.feed(world.event(world.person(), "Viewed"))
    world.neighbours.down.add("outcomes")
    with pytest.raises(workers.TRANSIENT):
        await world.settle()
    world.neighbours.down.clear()
    await world.settle()
    ids = [outcome.message_id for outcome in world.neighbours.outcomes]
    assert len(ids) == len(set(ids)) == 2


async def test_stats_add_up_at_every_moment(world: World) -> None:
    nodes = (branch("wait", "no"), wait(60), *YES_NO)
    journey_id = await world.publish(journey(*nodes))
    people = [world.person() for _ in range(4)]
    world.feed(*(world.event(person, "Viewed") for person in people))

    async def holds() -> None:
        stats = await world.get(f"/journeys/{journey_id}/stats")
        assert stats["entered"] == stats["waiting"] + stats["exited"]
        for node in stats["nodes"].values():
            assert node["entered"] == node["waiting"] + node["passed"] + node["exited"]

    await holds()
    await world.follow()
    await holds()
    await world.execute()
    await holds()
    world.feed(world.event(people[0], "Done"))
    await world.settle()
    await holds()
    world.clock.advance(seconds=61)
    await world.settle()
    await holds()
    assert await exits(world, journey_id) == {"yes": 1, "no": 3}
