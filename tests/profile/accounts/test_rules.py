"""Rules that read accounts: people enter and leave segments as their accounts and roles change."""

from typing import Any
from uuid import uuid4

import pytest

from services.contracts.changes import Change
from services.profile.accounts import asking
from services.profile.rules import settle as rules
from services.profile.stream import effects
from tests.profile.accounts.support import GOLD, group, id_of, members, segment, user
from tests.profile.conftest import World

pytestmark = pytest.mark.anyio

DECIDER: dict[str, Any] = {"field": "account.$roles", "operator": "contains", "value": "decider"}


def crossings(changes: list[Change]) -> list[tuple[str, str]]:
    return [
        (c.type, c.profile_id) for c in changes if c.type in ("segment.entered", "segment.exited")
    ]


async def test_a_trait_of_an_account_moves_all_its_members(world: World) -> None:
    segment_id = await segment(world, GOLD)
    one, two, other = group(world, 1), group(world, 2), group(world, 3, "other")
    assert crossings(await world.post(one, two, other)) == []
    entered = await world.post(group(world, 1, tier="gold", at=20))
    both = {one.subject_id, two.subject_id}
    assert set(crossings(entered)) == {("segment.entered", person) for person in both}
    assert (await world.get(f"/segments/{segment_id}"))["members"] == 2
    left = await world.post(group(world, 2, tier=None, at=30))
    assert set(crossings(left)) == {("segment.exited", person) for person in both}


async def test_a_trait_changed_by_the_api_moves_them_too(world: World) -> None:
    await segment(world, GOLD)
    person = group(world, 1)
    await world.post(person)
    path = f"/api/v1/accounts/{id_of(world)}"
    await world.call("PATCH", path, {"traits": {"tier": "gold"}})
    entered = await world.until(lambda c: c.type == "segment.entered")
    assert crossings(entered) == [("segment.entered", person.subject_id)]
    await world.call("DELETE", f"{path}/members/{person.subject_id}")
    left = await world.until(lambda c: c.type == "segment.exited")
    assert crossings(left) == [("segment.exited", person.subject_id)]


async def test_a_role_moves_a_person(world: World) -> None:
    await segment(world, DECIDER)
    person = group(world, 1, role="user")
    assert crossings(await world.post(person)) == []
    entered = await world.post(group(world, 1, role=["user", "decider"], at=20))
    assert crossings(entered) == [("segment.entered", person.subject_id)]
    path = f"/api/v1/accounts/{id_of(world)}/members/{person.subject_id}"
    await world.call("PUT", path, {"roles": ["user"]})
    left = await world.until(lambda c: c.type == "segment.exited")
    assert crossings(left) == [("segment.exited", person.subject_id)]


async def test_rules_read_the_account_of_the_latest_group_call(world: World) -> None:
    await segment(world, {"field": "account.$group_id", "operator": "=", "value": "new"})
    person = group(world, 1, "old", at=10)
    await world.post(person)
    assert crossings(await world.post(group(world, 1, "new", at=5))) == []
    moved = await world.post(group(world, 1, "new", at=20))
    assert crossings(moved) == [("segment.entered", person.subject_id)]
    back = await world.post(group(world, 1, "old", at=30))
    assert crossings(back) == [("segment.exited", person.subject_id)]


async def test_a_trait_never_hides_what_rules_know_of_an_account(world: World) -> None:
    await segment(world, DECIDER)
    said = world.event(
        user(1), type="group", group_id="acme", traits={"$roles": ["decider"], "$group_id": "x"}
    )
    assert crossings(await world.post(said)) == []


async def test_a_preview_reads_accounts_as_rules_do(world: World) -> None:
    in_gold = group(world, 1, tier="gold", size={"people": 120}, role="decider")
    without = world.event(user(3), type="identify", traits={"tier": "gold"})
    await world.post(in_gold, group(world, 2, "other", tier="gold"), without)
    size = {"field": "account.size.people", "operator": ">", "value": 100}
    for conditions, expected in (
        ([GOLD, size], [in_gold.subject_id]),
        ([DECIDER], [in_gold.subject_id]),
        ([{"field": "account.$group_id", "operator": "null"}], [without.subject_id]),
    ):
        body = {"rule": {"combinator": "and", "rules": conditions}}
        answer = await world.call("POST", "/api/v1/segments/preview", body)
        assert answer.json()["sample"] == expected
        segment_id = await segment(world, *conditions, name=str(conditions))
        found = (await world.get(f"/segments/{segment_id}/members"))["items"]
        assert [m["profile_id"] for m in found] == expected


async def test_facts_read_the_account_of_a_person(world: World) -> None:
    rule_id = str(uuid4())
    rule = {"combinator": "and", "rules": [DECIDER, GOLD]}
    body = {"kind": "journey", "owner": "journey j branch b", "rule": rule}
    await world.call("PUT", f"/internal/v1/rules/{rule_id}", body)
    decider, other = group(world, 1, role="decider", tier="gold"), group(world, 2)
    await world.post(decider, other)
    asked = {"rule_ids": [rule_id], "profile_ids": [decider.subject_id, other.subject_id]}
    facts = (await world.call("POST", "/internal/v1/facts", asked)).json()
    assert [p["rules"][rule_id] for p in facts["profiles"]] == [True, False]


async def test_the_members_of_a_large_account_are_asked_in_parts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    settle = rules.settle

    async def counted(*args: Any) -> Any:
        asked.append(len(args[3].touched.profiles()))
        return await settle(*args)

    for module in (effects, asking):
        monkeypatch.setattr(module, "settle", counted)
    segment_id = await segment(world, GOLD)
    await world.post(*(group(world, n, tier="silver") for n in range(5000)))
    asked.clear()
    entered = crossings(await world.post(group(world, 0, tier="gold", at=20)))
    while len(entered) < 5000:
        entered += crossings(await world.until(lambda c: c.type == "segment.entered"))
    assert {kind for kind, _ in entered} == {"segment.entered"}
    assert len({person for _, person in entered}) == 5000
    assert (await world.get(f"/segments/{segment_id}"))["members"] == 5000
    # The transaction of the log asks only whom it named; no part asks more than it may.
    assert 1 in asked
    assert max(asked) <= asking.MEMBERS_AT_ONCE
    assert len(await members(world, limit=500)) == 500
