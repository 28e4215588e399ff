"""Registered traits, the priorities of sources and what was left out, over HTTP."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.contracts.changes import Change
from services.contracts.events import Event
from services.kit.postgres import create_sessionmaker, workspace_tx
from tests.profile.conftest import World
from tests.support.app import service_headers, user_headers
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

USER = ("user_id", "u1")
DAY = 86_400_000
NOON = 1_700_000_000_000


def said(world: World, traits: dict[str, Any], source: str = "source", **rest: Any) -> Event:
    event = world.event(USER, type="identify", traits=traits, **rest)
    event.source_id = source
    return event


async def define(world: World, name: str, **definition: Any) -> None:
    answer = await world.call("PUT", f"/api/v1/trait-definitions/{name}", definition)
    assert answer.status_code == 200, answer.text


async def prefer(world: World, registered_only: bool = False, **sources: int) -> None:
    named = [{"source_id": name, "priority": priority} for name, priority in sources.items()]
    body = {"sources": named, "registered_only": registered_only}
    answer = await world.call("PUT", "/api/v1/trait-settings", body)
    assert (answer.status_code, answer.json()) == (200, body)


async def traits(world: World, *, reveal: bool = False) -> Any:
    path = f"/api/v1/profiles/{world.event(USER).subject_id}"
    may = user_headers("profile", world.workspace_id, scopes=("traits:reveal",))
    if reveal:
        return (await world.client.get(f"{path}?reveal=sensitive", headers=may)).json()["traits"]
    return (await world.call("GET", path)).json()["traits"]


async def refusals(world: World, **query: Any) -> list[tuple[str, str, int]]:
    page = await world.get("/trait-refusals", **query)
    return [(r["trait"], r["reason"], r["count"]) for r in page["items"]]


async def test_definitions_are_put_listed_read_and_deleted(world: World) -> None:
    price = {"type": "money", "description": {"en": "Price", "zh": "价格"}}
    await define(world, "price", **price)
    await define(world, "city", type="string", max_length=20)
    listed = (await world.get("/trait-definitions"))["items"]
    assert [each["name"] for each in listed] == ["city", "price"]
    assert listed[1] == await world.get("/trait-definitions/price")
    assert listed[1] == {
        **price,
        "name": "price",
        "classification": "plain",
        "consent_purpose": None,
        "max_length": None,
    }
    first = await world.get("/trait-definitions", limit=1)
    rest = await world.get("/trait-definitions", limit=1, cursor=first["next_cursor"])
    assert (first["items"] + rest["items"], rest["next_cursor"]) == (listed, None)
    gone = await world.call("DELETE", "/api/v1/trait-definitions/city")
    assert gone.status_code == 204
    for method in ("GET", "DELETE"):
        answer = await world.call(method, "/api/v1/trait-definitions/city")
        problem = (answer.status_code, answer.json()["type"])
        assert problem == (404, "/problems/trait-definition-not-found")
    assert [each["name"] for each in (await world.get("/trait-definitions"))["items"]] == ["price"]
    await define(world, "city", type="string")
    listed = (await world.get("/trait-definitions"))["items"]
    assert [each["name"] for each in listed] == ["city", "price"]


async def test_a_name_an_earlier_version_took_out_is_not_listed(
    world: World, profile_database: Database
) -> None:
    await define(world, "city", type="string")
    engine = create_async_engine(profile_database.app_dsn)
    async with workspace_tx(create_sessionmaker(engine), world.workspace_id) as session:
        await session.execute(text("UPDATE trait_definition SET definition = 'null'"))
    await engine.dispose()
    assert (await world.get("/trait-definitions"))["items"] == []
    await define(world, "city", type="string")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"type": "colour"}, "'string', 'number'"),
        ({"type": "number", "max_length": 3}, "string and list"),
        ({"type": "string", "classification": "sensitive"}, "consent_purpose"),
        ({"type": "string", "consent_purpose": "health"}, "sensitive and minor"),
        ({"type": "string", "colour": 1}, "not permitted"),
    ],
)
async def test_a_wrong_definition_is_refused_in_words(
    world: World, body: dict[str, Any], words: str
) -> None:
    answer = await world.call("PUT", "/api/v1/trait-definitions/x", body)
    assert answer.status_code == 422
    assert words in answer.text
    assert (await world.get("/trait-definitions"))["items"] == []


async def test_a_source_stands_in_the_settings_once(world: World) -> None:
    twice = {"sources": [{"source_id": "a", "priority": n} for n in (1, 2)]}
    assert (await world.call("PUT", "/api/v1/trait-settings", twice)).status_code == 422
    assert await world.get("/trait-settings") == {"sources": [], "registered_only": False}


async def test_a_lower_priority_never_overwrites_a_higher_one_nor_does_it_delete(
    world: World,
) -> None:
    await prefer(world, crm=10, shop=-1)
    await world.post(said(world, {"plan": "pro", "city": "Köln"}, "crm", at=NOON))
    await world.post(said(world, {"plan": "free", "city": None}, "web", at=NOON + DAY))
    assert await traits(world) == {"plan": "pro", "city": "Köln"}
    await world.post(said(world, {"plan": "vip", "city": None}, "crm", at=NOON + 1))
    assert await traits(world) == {"plan": "vip"}
    # What a high priority deleted stays deleted.
    await world.post(said(world, {"city": "Bonn"}, "web", at=NOON + DAY))
    assert await traits(world) == {"plan": "vip"}
    await world.post(said(world, {"age": 1}, "shop"), said(world, {"age": 2}, "web", at=NOON - DAY))
    assert (await traits(world))["age"] == 2


async def test_new_priorities_count_for_what_arrives_later(world: World) -> None:
    await world.post(said(world, {"plan": "pro"}, "web", at=NOON))
    await prefer(world, crm=10)
    await world.post(said(world, {"plan": "free"}, "crm", at=NOON - DAY))
    assert await traits(world) == {"plan": "free"}


async def test_of_equal_priorities_the_later_time_wins_however_they_arrive(world: World) -> None:
    for at, plan in ((NOON, "b"), (NOON - DAY, "a"), (NOON + DAY, "c"), (NOON, "d")):
        await world.post(said(world, {"plan": plan}, plan, at=at))
    assert await traits(world) == {"plan": "c"}


async def test_a_value_of_a_wrong_type_is_left_out_told_and_the_rest_is_taken(
    world: World,
) -> None:
    await define(world, "age", type="number")
    await world.post(said(world, {"age": 7}, at=NOON))
    wrong = said(world, {"age": "seven", "plan": "pro"}, "crm", at=NOON + DAY)
    await world.post(wrong)
    await world.post(said(world, {"age": True}, at=NOON + DAY))
    assert await traits(world) == {"age": 7, "plan": "pro"}
    page = await world.get("/trait-refusals", trait="age")
    assert page["items"][0] == {
        "trait": "age",
        "reason": "wrong_type",
        "detail": "The value does not fit the trait's definition.",
        "source_id": "crm",
        "count": 1,
        "last_at": "2023-11-15T22:13:20Z",
        "last_message_id": wrong.message_id,
        "last_profile_id": wrong.subject_id,
    }
    assert len(page["items"]) == 2
    assert await refusals(world, trait="plan") == []
    first = await world.get("/trait-refusals", limit=1)
    rest = await world.get("/trait-refusals", limit=1, cursor=first["next_cursor"])
    assert first["items"] + rest["items"] == page["items"]


async def test_only_registered_traits_are_taken_where_the_workspace_chose_so(
    world: World,
) -> None:
    await define(world, "plan", type="string")
    await prefer(world, registered_only=True)
    await world.post(said(world, {"plan": "pro", "shoe": 43}), said(world, {"shoe": 44}))
    assert await traits(world) == {"plan": "pro"}
    assert await refusals(world) == [("shoe", "not_registered", 2)]


HEALTH = {"type": "string", "classification": "sensitive", "consent_purpose": "health"}


def consent(granted: bool) -> dict[str, Any]:
    return {"consent": {"categoryPreferences": {"health": granted}}}


async def test_a_sensitive_trait_needs_its_consent_at_that_moment(world: World) -> None:
    await define(world, "blood", **HEALTH)
    await world.post(said(world, {"blood": "A", "plan": "pro"}))
    assert await refusals(world) == [("blood", "consent_missing", 1)]
    # Consent and value may come in one event; and in one block the order of the log counts.
    await world.post(
        said(world, {"blood": "B"}, context=consent(True), at=NOON),
        said(world, {"blood": "0"}, context=consent(False), at=NOON + 1),
    )
    assert await traits(world, reveal=True) == {"plan": "pro", "blood": "B"}
    assert await refusals(world) == [("blood", "consent_missing", 2)]
    await world.post(said(world, {"blood": None}, at=NOON + 2))
    assert await traits(world, reveal=True) == {"plan": "pro"}


@pytest.fixture
async def told(world: World) -> list[Change]:
    """Something sensitive was said in both places where events hold traits."""
    await define(world, "blood", **HEALTH)
    await define(world, "school", **HEALTH | {"classification": "minor"})
    context = consent(True) | {"traits": {"school": "GGS 4", "plan": "pro"}, "ip": "::1"}
    return await world.post(said(world, {"blood": "A"}, context=context))


async def test_sensitive_traits_are_masked_in_every_answer(
    world: World, told: list[Change]
) -> None:
    subject = told[0].profile_id
    profile = await world.get(f"/profiles/{subject}")
    assert (profile["traits"], profile["masked_traits"]) == ({"plan": "pro"}, ["blood", "school"])
    assert (await world.get("/profiles"))["items"] == [profile]
    found = await world.get("/profiles", namespace="user_id", value="u1")
    assert found["items"] == [profile]
    patched = await world.call("PATCH", f"/api/v1/profiles/{subject}", {"traits": {"age": 7}})
    assert patched.json()["traits"] == {"plan": "pro", "age": 7}
    history = await world.get(f"/profiles/{subject}/traits/blood/history")
    assert [(s["value"], s["masked"]) for s in history["items"]] == [(None, True)]
    asked = {"rule_ids": [], "profile_ids": [subject]}
    facts = (await world.call("POST", "/internal/v1/facts", asked)).json()
    assert facts["profiles"][0]["traits"] == {"plan": "pro", "age": 7}


async def test_sensitive_traits_are_never_in_clear_on_the_feed(
    world: World, told: list[Change]
) -> None:
    by_type = {change.type: change.data for change in told}
    assert by_type["profile.updated"] == {"traits": {"plan": "pro"}, "masked": ["blood", "school"]}
    assert '"traits":{"plan":"pro"}' in by_type["event"]["context"]
    assert '"ip":"::1"' in by_type["event"]["context"]


async def test_only_who_may_reveal_sensitive_traits_sees_them(
    world: World, told: list[Change]
) -> None:
    path = f"/api/v1/profiles/{told[0].profile_id}"
    whole = {"plan": "pro", "blood": "A", "school": "GGS 4"}
    refused = await world.call("GET", f"{path}?reveal=sensitive")
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
    for headers in (
        service_headers("orchestrator", "profile", world.workspace_id),
        user_headers("profile", world.workspace_id, scopes=("admin", "traits:reveal")),
    ):
        answer = await world.client.get(f"{path}?reveal=sensitive", headers=headers)
        assert (answer.json()["traits"], answer.json()["masked_traits"]) == (whole, [])
        history = f"{path}/traits/blood/history?reveal=sensitive"
        shown = await world.client.get(history, headers=headers)
        assert [s["value"] for s in shown.json()["items"]] == ["A"]


async def test_a_rule_reads_a_sensitive_trait_that_nobody_is_shown(world: World) -> None:
    await define(world, "blood", **HEALTH)
    rule = {
        "combinator": "and",
        "rules": [{"field": "traits.blood", "operator": "=", "value": "A"}],
    }
    await world.call("POST", "/api/v1/segments", {"name": "A", "rule": rule})
    changes = await world.post(said(world, {"blood": "A"}, context=consent(True)))
    assert "segment.entered" in [change.type for change in changes]


LARGE = "x" * 8190


@pytest.mark.parametrize(
    ("traits_said", "reason"),
    [
        ({"x": LARGE + "x"}, "value_too_large"),
        ({"x": "价" * 2731}, "value_too_large"),
        ({"x": [[[[[[[[[1]]]]]]]]]}, "too_deep"),
        ({"x" * 201: 1}, "name_too_long"),
        ({f"k{n:03}": n for n in range(499)}, "too_many_traits"),
        ({f"k{n}": LARGE for n in range(8)}, "profile_too_large"),
    ],
)
async def test_what_exceeds_a_limit_is_left_out_of_an_event_and_told(
    world: World, traits_said: dict[str, Any], reason: str
) -> None:
    await world.post(said(world, {"plan": "pro"}))
    await world.post(said(world, {"city": "Köln"}), said(world, traits_said))
    last = [*traits_said][-1][:200]
    assert await refusals(world) == [(last, reason, 1)]
    known = await traits(world)
    assert known["plan"] == "pro"
    assert known["city"] == "Köln"
    assert last not in known


async def test_what_just_fits_is_taken(world: World) -> None:
    fits = {"x": LARGE, "deep": [[[[[[[[1]]]]]]]], "y" * 200: "价" * 2730}
    await world.post(said(world, fits))
    assert await traits(world) == fits
    assert await refusals(world) == []


async def test_a_workspace_knows_nothing_of_another_ones_traits(world: World) -> None:
    await define(world, "blood", **HEALTH)
    await prefer(world, crm=1)
    await world.post(said(world, {"blood": "A"}))
    other = World(world.client, world.tracking, type(world.workspace_id)(int=7))
    assert (await other.get("/trait-definitions"))["items"] == []
    assert (await other.get("/trait-refusals"))["items"] == []
    assert (await other.get("/trait-settings"))["sources"] == []
