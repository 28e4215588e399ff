"""Policies where messages are claimed: nothing over a cap, nothing at night, reasons for all."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from services.contracts.changes import Change
from services.kit.postgres import workspace_tx
from services.orchestrator.delivery.sender import Sender
from services.orchestrator.policies import store
from tests.orchestrator.conftest import World
from tests.orchestrator.policies.test_judge import QUIET

pytestmark = pytest.mark.anyio

NIGHT = 14 * 3_600
"""Seconds from the start of the tests, 16:00 in Shanghai, into its night: 06:00."""


async def put(world: World, **document: Any) -> None:
    version = (await world.get("/policies"))["version"]
    body = {"version": version, "document": {"default_zone": "Asia/Shanghai", **document}}
    answer = await world.client.put("/api/v1/policies", json=body)
    assert answer.status_code == 200, answer.text


def cap(limit: int, **more: Any) -> list[dict[str, Any]]:
    return [{"name": "daily", "limit": limit, "rolling_seconds": 86_400, **more}]


async def viewed(world: World, person: UUID, times: int = 1) -> None:
    world.feed(*(world.event(person, "Viewed", offer_id=f"o{world.serial}") for _ in range(times)))
    await world.settle()


def reasons(messages: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    return sorted((each["state"], each["reason"]) for each in messages)


async def graph(world: World, **more: Any) -> dict[str, Any]:
    """As ``mail_graph``, but the same person may be in it many times at once."""
    made = await world.mail_graph(**more)
    made["entry"]["entry_mode"] = "concurrent_by_key"
    return made


async def test_a_cap_lets_through_so_many_and_says_why_others_were_skipped(world: World) -> None:
    await put(world, caps=cap(2))
    journey_id = await world.publish(await graph(world))
    person = world.person()
    await viewed(world, person, 4)
    assert reasons(await world.messages()) == [
        ("accepted", None),
        ("accepted", None),
        ("skipped", "capped: daily"),
        ("skipped", "capped: daily"),
    ]
    told = [each for each in world.neighbours.outcomes if each.event == "Message Skipped"]
    assert len(told) == 2
    assert (await world.get(f"/journeys/{journey_id}/stats"))["exits"] == {"finished": 4}
    world.clock.advance(seconds=86_400)
    await viewed(world, person)
    assert len(world.mailbox.messages) == 3


async def test_a_capped_message_may_wait_for_room(world: World) -> None:
    await put(world, caps=cap(1, over="wait"))
    await world.publish(await graph(world))
    await viewed(world, world.person(), 2)
    assert reasons(await world.messages()) == [("accepted", None), ("held", "capped: daily")]
    world.clock.advance(seconds=86_399)
    await world.settle()
    assert len(world.mailbox.messages) == 1
    world.clock.advance(seconds=1)
    await world.settle()
    assert reasons(await world.messages()) == [("accepted", None)] * 2


@pytest.mark.parametrize("before", [0, 1])
async def test_senders_side_by_side_never_send_one_too_many(
    world: World, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    """R18: every sender locks what it counts in, whether it is there already or made by many at
    once."""
    monkeypatch.setattr("services.orchestrator.delivery.sender.BATCH", 5)
    await put(world, caps=cap(3))
    await world.publish(await graph(world))
    people = [world.person() for _ in range(5)]
    for person in people * before:
        await viewed(world, person)
    world.feed(*(world.event(p, "Viewed", offer_id=f"o{n}") for p in people for n in range(40)))
    await world.follow()
    await world.execute()
    engine = world.engine.sender
    senders = [
        Sender(
            world.engine.maker,
            world.clock,
            engine._tools,
            world.engine.executor.library,
            expire_after_ms=1 << 40,
        )
        for _ in range(20)
    ]

    async def run(sender: Sender) -> None:
        while await sender.send_due(world.workspace_id):
            pass

    await asyncio.gather(*map(run, senders))
    for sender in senders:
        sender.close()
    found = reasons(await world.messages(limit=500))
    assert found == [("accepted", None)] * 15 + [("skipped", "capped: daily")] * (185 + 5 * before)
    assert len(world.mailbox.messages) == 15


async def test_what_was_not_sent_after_all_counts_no_longer(world: World) -> None:
    await put(world, caps=cap(1))
    await world.publish(await graph(world))
    person = world.person()
    world.mailbox.rcpt = "550 no such user"
    await viewed(world, person)
    world.mailbox.rcpt = None
    assert [each["state"] for each in await world.messages()] == ["failed"]
    await viewed(world, person)
    assert len(world.mailbox.messages) == 1


async def test_a_message_held_after_a_try_counts_when_it_goes_out(world: World) -> None:
    """Else a rolling window would hold one more than its limit."""
    world.clock.advance(seconds=5 * 3_600 - 1)
    await put(world, caps=cap(1, rolling_seconds=3_600), quiet_hours=QUIET)
    await world.publish(await graph(world))
    person = world.person()
    world.mailbox.rcpt = "450 later"
    await viewed(world, person)
    world.clock.advance(seconds=10)
    await world.settle()
    world.mailbox.rcpt = None
    assert reasons(await world.messages()) == [("held", "quiet_hours")]
    world.clock.advance(seconds=11 * 3_600)
    await viewed(world, person)
    assert reasons(await world.messages()) == [("accepted", None), ("skipped", "capped: daily")]


async def test_a_place_is_given_back_after_a_merge_too(world: World) -> None:
    await put(world, caps=cap(1))
    await world.publish(await graph(world))
    loser, winner = world.person(), world.person()
    world.mailbox.rcpt = "450 later"
    await viewed(world, loser)
    world.feed(Change("profile.merged", str(winner), world.clock.now, {"merged_id": str(loser)}))
    await world.follow()
    world.mailbox.rcpt = "550 no such user"
    world.clock.advance(seconds=10)
    await world.settle()
    world.mailbox.rcpt = None
    assert [each["state"] for each in await world.messages()] == ["failed"]
    await viewed(world, winner)
    assert len(world.mailbox.messages) == 1


async def test_senders_do_not_deadlock_over_what_they_give_back(world: World) -> None:
    """A sender takes all its locks in one order, also of what it counts no longer."""
    await put(world, caps=cap(5))
    await world.publish(await graph(world))
    first, last = sorted((world.person(), world.person()), key=str)
    world.mailbox.rcpt = "450 later"
    await viewed(world, last)
    world.mailbox.rcpt = None
    world.feed(world.consent(last, "withdrawn"))
    world.clock.advance(seconds=10)
    world.feed(world.event(first, "Viewed", offer_id="other"))
    await world.follow()
    await world.execute()
    maker, workspace_id = world.engine.maker, world.workspace_id
    async with workspace_tx(maker, workspace_id) as session:
        await store.lock_uses(session, workspace_id, [(str(first), "daily")])
        sending = asyncio.create_task(world.send())
        await world.somebody_waits()
        await store.lock_uses(session, workspace_id, [(str(last), "daily")])
    await sending
    assert reasons(await world.messages()) == [("accepted", None), ("skipped", "consent_withdrawn")]


async def test_transactional_messages_are_neither_counted_nor_held(world: World) -> None:
    world.clock.advance(seconds=NIGHT)
    await put(world, caps=cap(1), quiet_hours=QUIET, arbiter={"window_seconds": 60})
    await world.publish(await graph(world, purpose="transactional"))
    await viewed(world, world.person(), 3)
    assert reasons(await world.messages()) == [("accepted", None)] * 3


async def test_at_night_messages_wait_and_are_judged_anew_in_the_morning(world: World) -> None:
    world.clock.advance(seconds=NIGHT)
    await put(world, quiet_hours=QUIET)
    await world.publish(await graph(world))
    stays, leaves = world.person(), world.person()
    for person in (stays, leaves):
        await viewed(world, person)
    assert reasons(await world.messages()) == [("held", "quiet_hours")] * 2
    world.feed(world.consent(leaves, "withdrawn"))
    world.clock.advance(seconds=2 * 3_600)
    await world.settle()
    assert reasons(await world.messages()) == [
        ("accepted", None),
        ("skipped", "consent_withdrawn"),
    ]


async def test_after_the_night_a_channel_sends_so_many_per_minute(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many senders put them to wait, in however many claims."""
    monkeypatch.setattr("services.orchestrator.delivery.sender.BATCH", 3)
    world.clock.advance(seconds=NIGHT)
    await put(world, quiet_hours={**QUIET, "per_minute": 4})
    await world.publish(await graph(world))
    people = [world.person() for _ in range(10)]
    world.feed(*(world.event(person, "Viewed", offer_id="o") for person in people))
    await world.follow()
    await world.execute()
    await asyncio.gather(*(world.send() for _ in range(4)))
    assert reasons(await world.messages()) == [("held", "quiet_hours")] * 10
    # To the last millisecond of a minute: each has a moment of its own anywhere in it.
    world.clock.advance(seconds=2 * 3_600 - 0.001)
    sent = []
    for _ in range(4):
        await world.settle()
        sent.append(len(world.mailbox.messages))
        world.clock.advance(seconds=60)
    assert sent == [0, 4, 8, 10]


async def test_the_zone_of_the_person_decides_not_that_of_the_workspace(world: World) -> None:
    world.clock.advance(seconds=NIGHT)
    await put(world, quiet_hours=QUIET)
    await world.publish(await graph(world))
    await viewed(world, world.person(traits={"timezone": "America/New_York"}))
    assert reasons(await world.messages()) == [("accepted", None)]


async def test_what_is_too_old_when_it_may_go_is_skipped(world: World) -> None:
    world.clock.advance(seconds=NIGHT)
    await put(world, quiet_hours=QUIET, expiry={"marketing_seconds": 10_000})
    by_node, by_policy = await graph(world), await graph(world)
    by_node["nodes"][0]["expires_after_seconds"] = 3_600
    for each in (by_node, by_policy):
        await world.publish(each)
    await viewed(world, world.person())
    world.clock.advance(seconds=2 * 3_600)
    await world.settle()
    assert reasons(await world.messages()) == [("accepted", None), ("skipped", "expired")]
    world.clock.advance(seconds=22 * 3_600)
    await put(world, quiet_hours=QUIET, expiry={"marketing_seconds": 3_600})
    await viewed(world, world.person())
    world.clock.advance(seconds=2 * 3_600)
    await world.settle()
    assert reasons(await world.messages())[1:] == [("skipped", "expired")] * 3


@pytest.mark.parametrize("others", ["skip", "wait"])
async def test_of_several_journeys_the_best_goes(world: World, others: str) -> None:
    await put(world, arbiter={"window_seconds": 60, "others": others})
    low, high = await graph(world, priority=10), await graph(world, priority=90)
    low_id, high_id = [await world.publish(each) for each in (low, high)]
    await viewed(world, world.person())
    assert reasons(await world.messages()) == [("held", "arbiter")] * 2
    world.clock.advance(seconds=60)
    await world.settle()
    [best] = await world.messages(journey_id=high_id)
    [other] = await world.messages(journey_id=low_id)
    assert best["state"] == "accepted"
    if others == "skip":
        key = (await world.get(f"/journeys/{high_id}"))["key"]
        assert (other["state"], other["reason"]) == ("skipped", f"arbiter: {key}")
        return
    assert (other["state"], other["reason"]) == ("held", "arbiter")
    world.clock.advance(seconds=61)
    await world.settle()
    assert reasons(await world.messages()) == [("accepted", None)] * 2


async def test_a_goal_takes_back_what_waits_and_its_place(world: World) -> None:
    world.clock.advance(seconds=NIGHT)
    await put(world, quiet_hours=QUIET)
    waiting = await graph(world, exit_rules=[{"event": "Bought", "reason": "bought"}])
    waiting["nodes"][0]["next"] = "later"
    waiting["nodes"].insert(1, {"id": "later", "type": "delay", "seconds": 86_400, "next": "end"})
    await world.publish(waiting)
    person = world.person()
    await viewed(world, person)
    world.feed(world.event(person, "Bought"))
    await world.settle()
    assert reasons(await world.messages()) == [("skipped", "exited: bought")]


async def test_who_is_merged_has_been_sent_what_both_were(world: World) -> None:
    await put(world, caps=cap(2))
    await world.publish(await graph(world))
    loser, winner = world.person(), world.person()
    for person in (loser, winner):
        await viewed(world, person)
    world.feed(Change("profile.merged", str(winner), world.clock.now, {"merged_id": str(loser)}))
    await viewed(world, winner)
    assert reasons(await world.messages())[-1] == ("skipped", "capped: daily")


async def test_policies_are_versioned_and_written_over_by_nobody_unseen(world: World) -> None:
    assert (await world.get("/policies"))["version"] == 0
    await put(world, caps=cap(2))
    stale = {"version": 0, "document": {}}
    refused = await world.client.put("/api/v1/policies", json=stale)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/policies-changed")
    await put(world)
    found = (await world.get("/policies/versions"))["items"]
    assert [each["version"] for each in found] == [2, 1]
    assert found[1]["document"]["caps"][0]["name"] == "daily"
    first = await world.get("/policies/versions", limit=1)
    more = await world.get("/policies/versions", limit=1, cursor=first["next_cursor"])
    assert [each["version"] for each in more["items"]] == [1]
    async with workspace_tx(world.engine.maker, UUID(int=9)) as session:
        assert await store.current(session, UUID(int=9)) is None
