"""Erasing one person: nobody else is touched, and nothing brings them back."""

from typing import Any
from uuid import uuid4

import pytest

from services.contracts.events import Outcome
from services.kit.clickhouse import ClickHouse
from services.kit.feeds import pack
from tests.support.app import service_headers
from tests.support.clickhouse import embedded_and_cluster
from tests.tracking.erasure.world import World, lines
from tests.tracking.events_table import store_mapping
from tests.tracking.service import KAFKA, eventually, track

pytestmark = pytest.mark.anyio

OLD = "2026-03-01T00:00:00Z"


def sent(user: str, message_id: str, **fields: Any) -> dict[str, Any]:
    return track(user, messageId=message_id, **fields)


@embedded_and_cluster
async def test_only_the_person_goes_and_everybody_else_keeps_their_place(world: World) -> None:
    await world.post(sent("bob", "b1"), sent("ada", "a1"), sent("bob", "b2"))
    await world.post(sent("ada", "a2"))
    await world.both.loaded(4)
    erasure = await world.erase(world.subject("ada"))
    assert await world.stored() == ["b1", "b2"]
    assert await world.readable() == ["b1", "b2"]
    assert [e.message_id for e in await world.both.tracking.logged()] == ["b1", "", "b2", ""]
    erased = {line["store"]: line["erased"] for line in erasure["stores"]}
    assert erased == {"clickhouse:events": 2, "log": 2, "quarantine": 0, "identity": 0}
    await world.post(sent("bob", "b3"))
    await world.both.loaded(3)


async def test_everything_that_belongs_to_the_profile_goes(world: World) -> None:
    tracking = world.both.tracking
    ada, phone = world.subject("ada"), world.subject("old-phone", "anonymous_id")
    await tracking.sql(
        "INSERT INTO identity VALUES (:w, :s, :p, 1) RETURNING 1",
        w=world.workspace_id,
        s=phone,
        p=ada,
    )
    anonymous = {"type": "track", "event": "Viewed", "anonymousId": "old-phone"}
    await world.post(sent("ada", "a1"), {**anonymous, "messageId": "a2"}, sent("bob", "b1"))
    outcome = Outcome("o1", "Message Sent", str(phone), 1)
    answer = await world.both.ingest.post(
        "/internal/v1/outcomes",
        content=pack([outcome]),
        headers=service_headers("orchestrator", "tracking", world.workspace_id),
    )
    assert answer.status_code < 300, answer.text
    await world.both.loaded(4)
    # Asked for by an id that was merged away.
    await world.erase(phone)
    assert await world.stored() == ["b1"]
    assert await tracking.sql("SELECT 1 FROM identity") == []
    page = await world.both.read(partition=f"{world.workspace_id}:outcomes")
    assert [o for row in page.rows for o in row.entries(Outcome)] == []


async def test_what_comes_late_or_again_is_dropped_until_it_is_lifted(world: World) -> None:
    await world.post(sent("ada", "a1"), sent("bob", "b1"))
    await world.both.loaded(2)
    await world.erase(world.subject("ada"))
    email = world.subject("ada@example.com", "email")
    await world.erase(email)
    by_email = {"type": "identify", "userId": "new", "traits": {"email": "Ada@example.com"}}
    device = {"anonymousId": "shared"}
    await world.post(sent("ada", "a2"), sent("ada", "a3", timestamp=OLD), sent("bob", "b2"))
    await world.post({**by_email, "messageId": "a4"}, {**sent("ada", "a5"), **device})
    # The device passes on to somebody else.
    await world.post({**sent("bob", "b3"), **device})
    await world.both.loaded(3)
    assert await world.readable() == ["b1", "b2", "b3"]
    named = [str(world.subject("ada")), str(world.subject("x@y.zz", "email"))]
    lifted = await world.call("POST", "/suppressions/lift", {"subject_ids": named})
    assert lifted.json() == {"lifted": 1}
    await world.post(sent("ada", "a6", timestamp=OLD), sent("ada", "a7"))
    await world.both.loaded(4)
    assert await world.readable() == ["b1", "b2", "b3", "a7"]


async def test_external_ids_keep_a_person_out_until_they_are_lifted(world: World) -> None:
    await world.post(sent("bob", "b1"))
    await world.both.loaded(1)
    await world.erase(world.subject("w1", "unionid"))
    await world.erase(world.subject("tablet", "device_id"))

    def by(kind: str, value: str) -> dict[str, Any]:
        return {"context": {"externalIds": [{"type": kind, "id": value}]}}

    await world.post({**sent("bob", "b2"), **by("unionid", "w1")})
    # Devices are shared.
    await world.post({**sent("bob", "b3"), **by("device_id", "tablet")})
    await world.both.loaded(2)
    body = {"subject_ids": [str(world.subject("w1", "unionid"))]}
    assert (await world.call("POST", "/suppressions/lift", body)).json() == {"lifted": 1}
    await world.post({**sent("bob", "b4"), **by("unionid", "w1")})
    await world.both.loaded(3)
    assert await world.readable() == ["b1", "b3", "b4"]


async def test_a_certificate_counts_what_mentions_a_person_by_external_ids(world: World) -> None:
    def by(*phones: str) -> dict[str, Any]:
        return {"context": {"externalIds": [{"type": "phone", "id": phone} for phone in phones]}}

    hers, his = "+86 138 0013 8000", "+86 138 0013 8001"
    await world.post({**sent("", "a1"), **by(hers)}, {**sent("bob", "b1"), **by(his, hers)})
    await world.both.loaded(2)
    erasure = await world.erase(world.subject("+8613800138000", "phone"), "finished")
    assert lines(erasure)["clickhouse:events"] == (1, 0, 1)


async def test_refused_events_of_the_person_go_too(world: World) -> None:
    await world.post(sent("ada", "a1"), {"userId": "ada", "type": "odd"}, {"userId": "bob"})
    await world.both.loaded(1)
    assert len(await world.both.tracking.quarantined()) == 2
    erasure = await world.erase(world.subject("ada"))
    assert await world.both.tracking.sql("SELECT convert_from(raw, 'UTF8') FROM quarantine") == [
        ('{"userId":"bob"}',)
    ]
    assert {"store": "quarantine", "erased": 1}.items() <= erasure["stores"][3].items()


async def test_asking_again_changes_nothing(world: World) -> None:
    await world.post(sent("ada", "a1"))
    await world.both.loaded(1)
    body = {"profile_id": str(world.subject("ada"))}
    one, two = [(await world.call("POST", "/erasures", body)).json() for _ in range(2)]
    assert one["id"] == two["id"]
    await world.reached(one["id"], "purged")
    later = {**body, "since": "2020-01-01T00:00:00Z"}
    assert (await world.call("POST", "/erasures", later)).json()["id"] == one["id"]


async def test_only_its_workspace_sees_an_erasure(world: World) -> None:
    answer = await world.call("POST", "/erasures", {"profile_id": str(uuid4())})
    path = f"/internal/v1/erasures/{answer.json()['id']}"
    foreign = service_headers("profile", "tracking", uuid4())
    refused = await world.both.store.get(path, headers=foreign)
    assert (refused.status_code, refused.json()["type"]) == (404, "/problems/erasure-not-found")
    await world.reached(answer.json()["id"], "purged")


async def test_profile_asks_with_the_subjects_it_knows(world: World) -> None:
    await world.post(sent("ada", "a1"), sent("ada-at-work", "a2"), sent("bob", "b1"))
    await world.both.loaded(3)
    body = {
        "profile_id": str(world.subject("ada")),
        "subject_ids": [str(world.subject("ada-at-work"))],
    }
    answer = await world.call("POST", "/erasures", body)
    assert answer.status_code == 202, answer.text
    await world.reached(answer.json()["id"], "purged")
    assert await world.stored() == ["b1"]
    assert (await world.call("POST", "/erasures", {})).status_code == 422


@embedded_and_cluster
async def test_a_certificate_tells_of_everything_but_who_it_is_about(world: World) -> None:
    ada = world.subject("ada-lovelace")
    await world.post(sent("ada-lovelace", "a1"))
    await world.post(sent("bob", "b1", properties={"by": "ada-lovelace"}))
    await world.both.loaded(2)
    answer = await world.call("POST", "/erasures", {"profile_id": str(ada)})
    await world.post(sent("ada-lovelace", "a2"))
    certificate = await world.reached(answer.json()["id"], "finished")
    assert certificate["verified"] is True
    found = {line["store"]: (line["left"], line["mentions"]) for line in certificate["stores"]}
    assert found == {
        "clickhouse:events": (0, 1),
        "clickhouse:identity_map": (0, 0),
        "identity": (0, 0),
        "log": (0, 1),
        "quarantine": (0, 0),
    }
    [log] = [line for line in certificate["stores"] if line["store"] == "log"]
    assert log["note"].startswith("1 events came late")
    for table in ("erasure", "suppression", "erasure_place"):
        kept = str(await world.both.tracking.sql(f"SELECT t::text FROM {table} t"))  # noqa: S608
        assert str(ada) not in kept
        assert ada.hex not in kept
    assert await world.both.tracking.sql("SELECT work FROM erasure") == [(None,)]


async def test_what_only_the_log_knows_goes_too(world: World) -> None:
    await world.post(sent("ada", "a1"), sent("bob", "b1"))
    await world.both.loaded(2)
    clickhouse = await ClickHouse.open(world.both.tracking.clickhouse_dsn)
    await clickhouse.command("DELETE FROM events WHERE message_id = 'a1'")
    await clickhouse.close()
    certificate = await world.erase(world.subject("ada"), until="finished")
    assert [e.message_id for e in await world.both.tracking.logged()] == ["", "b1"]
    assert {line["store"]: line["left"] for line in certificate["stores"]}["log"] == 0


@pytest.mark.parametrize("log_dsn", [KAFKA], indirect=True)
async def test_a_log_that_cannot_be_rewritten_hides_the_person_and_is_never_called_clean(
    world: World,
) -> None:
    await world.post(sent("ada", "a1"), sent("bob", "b1"))
    await world.post({"userId": "ada", "type": "odd"}, sent("bob", "b2"))
    await world.both.loaded(3)
    certificate = await world.erase(world.subject("ada"), until="finished")
    assert await world.stored() == ["b1", "b2"]
    assert await world.readable() == ["b1", "b2"]
    assert [e.message_id for e in await world.both.tracking.logged()] == ["a1", "b1", "b2"]
    found = {line["store"]: (line["erased"], line["left"]) for line in certificate["stores"]}
    assert found == {
        "clickhouse:events": (1, 0),
        "clickhouse:identity_map": (0, 0),
        "identity": (0, 0),
        "log": (0, 1),
        "quarantine": (1, 0),
    }
    notes = {line["store"]: line["note"] for line in certificate["stores"]}
    assert "cannot be rewritten" in notes["log"]
    assert certificate["verified"] is False
    # Of nobody the log holds anything, but who could look into the brokers' files?
    nobody = await world.erase(world.subject("nobody"), until="finished")
    assert {line["left"] for line in nobody["stores"]} == {0}
    assert nobody["verified"] is False


@embedded_and_cluster
async def test_the_map_in_clickhouse_forgets_the_person(world: World) -> None:
    clickhouse = await world.both.tracking.open_clickhouse(readers=1)
    phone = world.subject("old-phone", "anonymous_id")
    await store_mapping(clickhouse, world.workspace_id, {phone: world.subject("ada")})
    await world.erase(phone)

    async def gone() -> bool:
        return await clickhouse.query("SELECT count() FROM identity_map") == [(0,)]

    await eventually(gone)
    await clickhouse.close()
