"""People in bulk over HTTP."""

import json
from typing import Any

import httpx2
import pytest

from tests.profile.conftest import World

pytestmark = pytest.mark.anyio

AT = "2026-03-01T09:30:00Z"
Person = dict[str, Any]


def person(user_id: str = "u1", **rest: Any) -> Person:
    return {"identifiers": {"user_id": user_id}, "traits": {"plan": "pro"}, "at": AT, **rest}


async def sent(world: World, *people: Person, **query: str) -> httpx2.Response:
    return await world.client.post(
        "/api/v1/profiles/import", params=query, json=list(people), headers=world.user
    )


async def ndjson(world: World, body: bytes) -> httpx2.Response:
    headers = {**world.user, "Content-Type": "application/x-ndjson"}
    return await world.client.post("/api/v1/profiles/import", content=body, headers=headers)


async def test_a_thousand_people_with_bad_ones_among_them(world: World) -> None:
    people = [person(f"u{number}", traits={"number": number}) for number in range(1000)]
    people[1] = {"identifiers": {}, "at": AT}
    people[500]["traits"] = {"deep": [[[[[[[[[1]]]]]]]]]}
    people[999]["at"] = "yesterday"
    body = b"\n".join(json.dumps(each).encode() for each in people).replace(b'"u7"', b'"u\xff7"')
    answer = await ndjson(world, body + b"\n\n")
    assert answer.status_code == 200
    said = answer.json()
    assert (said["accepted"], said["refused"], len(said["lines"])) == (996, 4, 1000)
    refused = [(x["line"], x["pointer"]) for x in said["lines"] if x["status"] == "refused"]
    assert refused == [
        *((2, "#/identifiers"), (8, "#"), (501, "#/traits/deep"), (1000, "#/at")),
    ]
    assert all(x["detail"] for x in said["lines"] if x["status"] == "refused")
    await world.until(lambda c: c.type == "event" and c.data["event"] == "identify")
    found = await world.get("/profiles", namespace="user_id", value="u998")
    assert found["items"][0]["traits"] == {"number": 998}
    assert found["items"][0]["last_seen_at"] == AT


async def test_traits_consents_and_identifiers_of_a_line_become_the_profiles(
    world: World,
) -> None:
    identifiers = {"user_id": "u1", "email": "Ada@Example.com", "anonymous_id": "a1"}
    consents = {"marketing": "granted", "health": "withdrawn"}
    await sent(world, person(identifiers=identifiers, consents=consents), source_id="crm")
    await world.until(lambda c: c.type == "event")
    (profile,) = (await world.get("/profiles", namespace="email", value="ada@example.com"))["items"]
    assert profile["traits"] == {"plan": "pro", "email": "Ada@Example.com"}
    assert profile["consents"] == consents
    assert {i["namespace"] for i in profile["identifiers"]} == {*identifiers}
    history = await world.get(f"/profiles/{profile['id']}/traits/plan/history")
    assert [(s["source_id"], s["said_at"]) for s in history["items"]] == [("crm", AT)]


async def test_an_email_or_a_phone_alone_names_a_person(world: World) -> None:
    for identifiers in ({"email": "ada@example.com"}, {"phone": "+49 221 123456"}):
        answer = await sent(world, person(identifiers=identifiers))
        assert answer.json()["accepted"] == 1, answer.text
        await world.until(lambda c: c.type == "event")
    assert len((await world.get("/profiles"))["items"]) == 2


async def test_a_namespace_of_the_workspace_names_a_person_and_another_is_refused(
    world: World,
) -> None:
    own = [{"name": n} for n in ("user_id", "loyalty_id", "anonymous_id")]
    set_ = await world.call("PUT", "/api/v1/identity-policy", {"namespaces": own})
    assert set_.status_code == 200, set_.text
    named = [{"loyalty_id": "L7"}, {"loyalty_id": "L7", "user_id": "u1"}, {"card": "1"}]
    consents = {"marketing": "granted"}
    answer = await sent(world, *(person(identifiers=ids, consents=consents) for ids in named))
    lines = answer.json()["lines"]
    assert [line["status"] for line in lines] == ["accepted", "accepted", "refused"]
    assert (lines[2]["pointer"], lines[2]["detail"]) == (
        "#/identifiers/card",
        "One of user_id, loyalty_id, anonymous_id is accepted.",
    )
    await world.until(lambda c: c.type == "event")
    (profile,) = (await world.get("/profiles"))["items"]
    assert {i["namespace"] for i in profile["identifiers"]} == {"user_id", "loyalty_id"}
    assert (profile["traits"], profile["consents"]) == ({"plan": "pro"}, consents)


async def test_the_same_line_sent_again_is_the_same_event(world: World) -> None:
    for _ in range(2):
        await sent(world, person(), person("u2"))
        changes = await world.until(lambda c: c.type == "event")
    events = [c.data["message_id"] for c in world.seen if c.type == "event"]
    assert len(events) == 4
    assert events[:2] == events[2:]
    assert [c.type for c in changes] == ["event", "event"]


async def test_an_older_line_undoes_nothing_and_priorities_hold(world: World) -> None:
    settings = {"sources": [{"source_id": "crm", "priority": 1}]}
    await world.call("PUT", "/api/v1/trait-settings", settings)
    await sent(world, person(traits={"plan": "pro", "city": "Köln"}), source_id="crm")
    await world.until(lambda c: c.type == "event")
    older = person(traits={"plan": "old"}, at="2025-03-01T09:30:00+01:00")
    await sent(world, older, source_id="crm")
    await world.until(lambda c: c.type == "event")
    await sent(world, person(traits={"city": "Bonn"}, at="2026-03-02T09:30:00Z"))
    await world.until(lambda c: c.type == "event")
    (profile,) = (await world.get("/profiles"))["items"]
    assert profile["traits"] == {"plan": "pro", "city": "Köln"}


@pytest.mark.parametrize(
    ("line", "pointer"),
    [
        ("Ada", "#"),
        ({"identifiers": {"user_id": "u1"}}, "#/at"),
        (person(at="2026-03-01T09:30:00"), "#/at"),
        (person("null"), "#/identifiers/user_id"),
        (person(identifiers={"email": "ada"}), "#/identifiers/email"),
        (person(identifiers={"shoe": "43"}), "#/identifiers/shoe"),
        (person(identifiers={"email": "a@b.de"}, traits={"email": "c@b.de"}), "#/traits/email"),
        (person(traits={"age": "seven"}), "#/traits/age"),
        (person(traits={"a/b": "x" * 8191}), "#/traits/a~1b"),
        (person(traits={f"k{n}": "x" * 8000 for n in range(5)}), "#"),
        (person(traits={"a": {f"k{n}": n for n in range(513)}}), "#/traits"),
        (person(consents={"marketing": True}), "#/consents/marketing"),
    ],
)
async def test_a_bad_line_says_where_and_its_neighbours_are_taken(
    world: World, line: Any, pointer: str
) -> None:
    await world.call("PUT", "/api/v1/trait-definitions/age", {"type": "number"})
    answer = await sent(world, person("u1"), line, person("u2"))
    lines = answer.json()["lines"]
    assert [x["status"] for x in lines] == ["accepted", "refused", "accepted"]
    assert lines[1]["pointer"] == pointer
    assert lines[1]["detail"]


async def test_a_sensitive_trait_waits_for_nobody_and_is_left_out_without_consent(
    world: World,
) -> None:
    health = {"type": "string", "classification": "sensitive", "consent_purpose": "health"}
    await world.call("PUT", "/api/v1/trait-definitions/blood", health)
    with_consent = person("u1", traits={"blood": "A"}, consents={"health": "granted"})
    answer = await sent(world, with_consent, person("u2", traits={"blood": "B"}))
    assert answer.json()["accepted"] == 2
    await world.until(lambda c: c.type == "event")
    people = (await world.get("/profiles"))["items"]
    assert {p["user_id"]: p["masked_traits"] for p in people} == {"u1": ["blood"], "u2": []}
    assert [r["trait"] for r in (await world.get("/trait-refusals"))["items"]] == ["blood"]


async def test_too_many_lines_or_no_list_at_all_are_refused_whole(world: World) -> None:
    many = await sent(world, *[person(f"u{n}") for n in range(1001)])
    assert (many.status_code, many.json()["errors"][0]["pointer"]) == (422, "#")
    no_list = await world.call("POST", "/api/v1/profiles/import", person())
    assert (no_list.status_code, no_list.json()["type"]) == (422, "/problems/invalid-request")
    broken = await world.client.post("/api/v1/profiles/import", content=b"[{", headers=world.user)
    assert (broken.status_code, broken.json()["type"]) == (400, "/problems/malformed-body")
    assert world.tracking.rows == {}


async def test_an_import_of_nobody_is_no_event(world: World) -> None:
    answer = await sent(world)
    assert answer.json() == {"accepted": 0, "refused": 0, "lines": []}
    assert world.tracking.rows == {}


async def test_without_tracking_nothing_is_accepted(world: World) -> None:
    world.tracking.down = True
    answer = await sent(world, person())
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    world.tracking.down = False
