"""Consents over HTTP: statements by events and by the API, the ledger, wordings, the law."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from services.contracts.events import Event
from services.contracts.profile import Facts
from services.kit.pagination import encode_cursor
from services.profile.main import create_app
from tests.profile.clock import FakeClock
from tests.profile.conftest import World, settings
from tests.profile.tracking import FakeTracking
from tests.support.app import running
from tests.support.consents import Case, cases
from tests.support.postgres import NewDatabase

pytestmark = pytest.mark.anyio

USER = ("user_id", "u1")
ADA = ("email", "ada@x.org")
NOON = 1_700_000_000_000


def said(world: World, name: str, at: int = NOON, named: Any = USER, **properties: Any) -> Event:
    return world.event(named, name=name, at=at, properties=properties)


async def person(world: World, **traits: Any) -> str:
    event = world.event(USER, ADA, type="identify", traits=traits, at=NOON)
    await world.post(event)
    return event.subject_id


async def state(world: World, profile_id: str, **body: Any) -> httpx2.Response:
    world.clock.advance(timedelta(seconds=1))
    return await world.call("POST", f"/api/v1/profiles/{profile_id}/consents", body)


async def test_events_say_consents_by_channel_and_contact_point_with_their_proof(
    world: World,
) -> None:
    proof: dict[str, Any] = {"wording_id": "news", "wording_version": 3, "language": "zh"}
    evidence = {"form": "checkout"}
    await world.post(world.event(USER, ADA))
    granted = said(
        world,
        "Consent Granted",
        purpose="marketing",
        channel="email",
        contact_point="Ada@X.org",
        evidence=evidence,
        actor="somebody",
        **proof,
    )
    changes = await world.post(granted)
    [told] = [c for c in changes if c.type == "consent.changed"]
    place = {"purpose": "marketing", "channel": "email", "contact_point": "ada@x.org"}
    assert told.data == {**place, "state": "granted"}
    page = await world.get(f"/profiles/{granted.subject_id}/consents")
    [line] = page["items"]
    assert line == {
        **place,
        "state": "granted",
        "at": "2023-11-14T22:13:20Z",
        "source_id": "source",
        "message_id": granted.message_id,
        "wording": {"id": "news", "version": 3},
        "language": "zh",
        "actor": None,
        "evidence": evidence,
    }
    assert page["contact_points"] == [{**place, "state": "granted"}]
    assert page["current"] == {"marketing": "granted"}


async def test_a_statement_of_its_own_is_always_a_line_and_repeated_preferences_are_not(
    world: World,
) -> None:
    context = {"consent": {"categoryPreferences": {"marketing": True}}}
    for at in range(3):
        await world.post(world.event(USER, context=context, at=NOON + at))
    for at in range(3, 5):
        last = said(world, "Consent Granted", NOON + at, purpose="marketing")
        await world.post(last)
    items = (await world.get(f"/profiles/{last.subject_id}/consents"))["items"]
    assert [i["at"][-9:] for i in items] == ["0.004000Z", "0.003000Z", "22:13:20Z"]


@pytest.mark.parametrize(
    ("properties", "granted", "withdrawn"),
    [
        ({"channel": "E-Mail!"}, {}, {"m": "withdrawn"}),
        ({"channel": "email", "contact_point": "nobody"}, {}, {"m": "withdrawn"}),
        ({"purpose": "*"}, {}, {}),
        ({"purpose": 7}, {}, {}),
        ({"purpose": ""}, {}, {}),
    ],
)
async def test_what_cannot_be_read_never_grants_and_withdraws_the_more(
    world: World, properties: dict[str, Any], granted: Any, withdrawn: Any
) -> None:
    for name, expected in (("Consent Granted", granted), ("Consent Withdrawn", withdrawn)):
        event = said(world, name, **{"purpose": "m", **properties})
        await world.post(event)
        assert (await world.get(f"/profiles/{event.subject_id}"))["consents"] == expected


async def test_a_statement_of_the_api_is_read_at_once_and_stands_in_the_log(world: World) -> None:
    profile_id = await person(world)
    path = "/api/v1/consents/wordings/news/versions/1"
    assert (await world.call("PUT", path, {"en": "Yes, please."})).status_code == 200
    wording = {"id": "news", "version": 1}
    body = {"purpose": "marketing", "channel": "email", "state": "granted", "wording": wording}
    answer = await state(world, profile_id, **body, evidence={"form": "f"})
    assert (answer.status_code, answer.json()["applied"]) == (201, True)
    page = await world.get(f"/profiles/{profile_id}/consents")
    assert [(i["state"], i["wording"], i["actor"], i["source_id"]) for i in page["items"]] == [
        ("granted", wording, "user:test", "api")
    ]
    assert page["items"][0]["message_id"] == answer.json()["message_id"]
    logged = world.tracking.rows[str(world.workspace_id)][-1].entries(Event)
    assert [(e.event, e.source_id) for e in logged] == [("Consent Granted", "api")]
    assert world.tracking.withdrawals == []


async def test_a_withdrawal_closes_the_gate_before_it_is_said(world: World) -> None:
    profile_id = await person(world)
    for purpose in ("marketing", "ads"):
        answer = await state(world, profile_id, purpose=purpose, channel="sms", state="withdrawn")
        assert answer.status_code == 201
    told = [(said_before, w.purpose, w.channel) for said_before, w in world.tracking.withdrawals]
    assert told == [(0, "marketing", "sms"), (1, "ads", "sms")]
    changes = await world.until(lambda c: c.data.get("purpose") == "ads")
    at = [w.at for _, w in world.tracking.withdrawals]
    assert [c.at for c in changes if c.type == "consent.changed"][-1] == at[-1]


async def test_without_the_gate_nothing_is_withdrawn_and_without_the_log_it_is_closed(
    world: World,
) -> None:
    profile_id = await person(world)
    world.tracking.gate_down = True
    answer = await state(world, profile_id, purpose="marketing", state="withdrawn")
    assert (answer.status_code, world.tracking.said) == (503, 0)
    assert (await state(world, profile_id, purpose="marketing", state="granted")).status_code == 201
    world.tracking.gate_down, world.tracking.log_down = False, True
    answer = await state(world, profile_id, purpose="marketing", state="withdrawn")
    assert (answer.status_code, len(world.tracking.withdrawals)) == (503, 1)


async def test_the_same_idempotency_key_says_it_once(world: World) -> None:
    profile_id = await person(world)
    headers = world.user | {"Idempotency-Key": "k1"}
    path, body = f"/api/v1/profiles/{profile_id}/consents", {"purpose": "m", "state": "granted"}
    ids = {
        (await world.client.post(path, json=body, headers=headers)).json()["message_id"]
        for _ in range(2)
    }
    # The sequencer drops the second event of one id.
    assert len(ids) == 1


async def test_the_ledger_outlives_a_replay_of_the_log_and_comes_in_pages(
    database: NewDatabase, tracking: FakeTracking, clock: FakeClock, world: World
) -> None:
    profile_id = await person(world)
    for number in range(5):
        await state(world, profile_id, purpose=f"p{number}", state="granted")
    anonymous = ("anonymous_id", "a1")
    await world.post(said(world, "Consent Withdrawn", named=anonymous, purpose="p1"))
    last = world.event(USER, anonymous)
    await world.post(last)
    path = f"/profiles/{profile_id}/consents"
    whole = await world.get(path)
    assert len(whole["items"]) == 6
    pages: list[Any] = []
    cursor = None
    while cursor is not None or not pages:
        page = await world.get(path, limit=2, **({"cursor": cursor} if cursor else {}))
        pages.append(page["items"])
        cursor = page["next_cursor"]
    assert [item for items in pages for item in items] == whole["items"]
    how = settings(database("profile"), tracking).model_copy(update={"block_rows": 2})
    async with running(create_app(how, clock)) as client:
        again = World(client, tracking, world.workspace_id)
        await again.until(lambda c: c.data.get("message_id") == last.message_id)
        assert await again.get(path) == whole


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"purpose": "", "state": "granted"}, "#/purpose"),
        ({"purpose": "*", "state": "granted"}, "#/purpose"),
        ({"purpose": "m", "state": "maybe"}, "#/state"),
        ({"purpose": "m", "state": "granted", "channel": "E-Mail"}, "#/channel"),
        (
            {"purpose": "m", "state": "granted", "channel": "email", "contact_point": "x"},
            "#/contact_point",
        ),
        ({"purpose": "m", "state": "granted", "wording": {"id": "no", "version": 1}}, "#/wording"),
        ({"purpose": "m", "state": "granted", "at": "2020"}, "#/at"),
    ],
)
async def test_a_wrong_statement_names_the_field_and_says_nothing(
    world: World, body: dict[str, Any], pointer: str
) -> None:
    profile_id = await person(world)
    answer = await world.call("POST", f"/api/v1/profiles/{profile_id}/consents", body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert world.tracking.said == 0


async def test_a_wording_stays_as_it_is_once_somebody_agreed_to_it(world: World) -> None:
    profile_id = await person(world)
    base = "/api/v1/consents/wordings/news/versions"
    assert (await world.call("PUT", f"{base}/1", {})).status_code == 422
    for text in ("One", "Two"):
        answer = await world.call("PUT", f"{base}/1", {"en": text, "zh": "好"})
        assert (answer.status_code, answer.json()["in_use"]) == (200, False)
    wording = {"id": "news", "version": 1}
    await state(world, profile_id, purpose="m", state="granted", wording=wording)
    changed = await world.call("PUT", f"{base}/1", {"en": "Three"})
    assert (changed.status_code, changed.json()["type"]) == (409, "/problems/wording-in-use")
    assert (await world.call("PUT", f"{base}/1", {"en": "Two", "zh": "好"})).status_code == 200
    await world.call("PUT", f"{base}/2", {"en": "Three"})
    first = await world.get("/consents/wordings", limit=1)
    rest = await world.get("/consents/wordings", cursor=first["next_cursor"])
    found = [
        (w["version"], w["texts"]["en"], w["in_use"]) for p in (first, rest) for w in p["items"]
    ]
    assert found == [(1, "Two", True), (2, "Three", False)]


async def test_the_law_of_a_persons_country_presumes_or_does_not(world: World) -> None:
    policy = {
        "region": "gdpr",
        "countries": {"US": "opt_out", "CN": "pipl"},
        "presumed_purposes": ["health", "marketing"],
        "sensitive_purposes": ["health"],
    }
    assert (await world.call("PUT", "/api/v1/consents/policy", policy)).json() == policy
    assert await world.get("/consents/policy") == policy
    rule = {
        "combinator": "and",
        "rules": [{"field": "consent.marketing", "operator": "=", "value": "granted"}],
    }
    await world.call("POST", "/api/v1/segments", {"name": "Reachable", "rule": rule})
    profile_id = await person(world)
    path = f"/profiles/{profile_id}/consents"
    assert (await world.get(path))["regime"] == "gdpr"
    assert (await world.get(path))["current"] == {}
    moved = world.event(USER, type="identify", traits={"phone": "+12125550123"}, at=NOON + 1)
    assert "segment.entered" in [c.type for c in await world.post(moved)]
    page = await world.get(path)
    assert (page["regime"], page["current"]) == ("opt_out", {"marketing": "granted"})
    assert page["contact_points"][0]["state"] == "granted"
    [facts] = (await ask(world, profile_id)).profiles
    assert (facts.presumed, facts.consents) == (["marketing"], {"marketing": "granted"})
    await state(world, profile_id, purpose="marketing", state="withdrawn")
    assert (await world.get(path))["current"] == {"marketing": "withdrawn"}


async def test_pipl_wants_a_consent_of_its_own_for_what_is_sensitive(world: World) -> None:
    policy = {"region": "pipl", "sensitive_purposes": ["health"]}
    await world.call("PUT", "/api/v1/consents/policy", policy)
    context = {"consent": {"categoryPreferences": {"marketing": True, "health": True}}}
    event = world.event(USER, context=context)
    await world.post(event)
    path = f"/profiles/{event.subject_id}/consents"
    assert (await world.get(path))["current"] == {"marketing": "granted"}
    await world.post(said(world, "Consent Granted", NOON + 1, purpose="health"))
    assert (await world.get(path))["current"] == {"health": "granted", "marketing": "granted"}


async def ask(world: World, profile_id: str, **body: Any) -> Facts:
    answer = await world.call("POST", "/internal/v1/facts", {"profile_ids": [profile_id], **body})
    assert answer.status_code == 200, answer.text
    return Facts.model_validate_json(answer.content)


async def test_who_wants_no_personalisation_is_nobody_in_particular(world: World) -> None:
    everybody = {"combinator": "and", "rules": []}
    profile_id = await person(world, plan="pro")
    await world.call("POST", "/api/v1/segments", {"name": "All", "rule": everybody})
    await world.until(lambda c: c.type == "segment.entered")
    world.clock.advance(timedelta(seconds=1))
    await state(world, profile_id, purpose="personalisation", state="withdrawn")
    await world.until(lambda c: c.type == "segment.exited")
    [facts] = (await ask(world, profile_id)).profiles
    assert (facts.non_personalised, facts.traits, facts.segments) == (True, {}, [])
    assert facts.identifiers["email"] == ["ada@x.org"]
    preview = await world.call("POST", "/api/v1/segments/preview", {"rule": everybody})
    assert preview.json()["count"] == 0
    await state(world, profile_id, purpose="personalisation", state="granted")
    await world.until(lambda c: c.type == "segment.entered")
    [facts] = (await ask(world, profile_id)).profiles
    assert (facts.non_personalised, facts.traits) == (False, {"plan": "pro"})


async def test_the_database_reads_a_purpose_as_the_code_does(world: World) -> None:
    """What previews and profiles show is computed in SQL; segments in memory."""
    events, known = [], []
    for number, case in enumerate(cases()):
        user = ("user_id", f"case{number}")
        events.append(world.event(user))
        known.append((case, events[-1].subject_id))
        events += [_line(world, user, at, case) for at in range(len(case.said))]
    await world.post(*events)
    shown = {p["id"]: p["consents"] for p in (await world.get("/profiles", limit=500))["items"]}
    for case, profile_id in known:
        page = await world.get(f"/profiles/{profile_id}/consents")
        assert shown[profile_id] == page["current"], case
        assert len(page["items"]) == len(case.said)


def _line(world: World, user: tuple[str, str], at: int, case: Case) -> Event:
    names = {"granted": "Granted", "withdrawn": "Withdrawn", "pending": "Requested"}
    state, channel, contact_point = case.said[at]
    return said(
        world,
        f"Consent {names[state]}",
        NOON + at,
        user,
        purpose="m",
        channel=channel,
        contact_point=contact_point,
    )


async def test_made_up_cursors_are_pages_and_no_errors(world: World) -> None:
    profile_id = await person(world)
    far = 2**63 - 1
    paths: dict[str, tuple[str | int, ...]] = {
        f"/profiles/{profile_id}/consents": (far, far),
        "/consents/wordings": ("", far),
    }
    for path, place in paths.items():
        found = await world.get(path, cursor=encode_cursor(*place))
        assert (path, found["items"]) == (path, [])
