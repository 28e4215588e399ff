"""Journeys as files: out, in again, elsewhere, and what applying one would do."""

from typing import Any
from uuid import uuid4

import pytest

from tests.orchestrator.conftest import World
from tests.orchestrator.journeys.graphs import delay, leave
from tests.support.app import user_headers

pytestmark = pytest.mark.anyio

PLAIN = {
    "name": "Plain",
    "entry": {"kind": "event", "event": "Viewed", "next": "delay"},
    "nodes": [delay(60, "end"), leave("end")],
}


async def put(world: World, key: str, body: Any, status: int = 200, **query: str) -> Any:
    answer = await world.client.put(f"/api/v1/journey-files/{key}", json=body, params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_file_makes_a_journey_and_changes_its_draft(world: World) -> None:
    made = await put(world, "plain", {"graph": PLAIN})
    assert (made["action"], made["before"], made["live"]) == ("created", None, "never")
    assert [edit["place"] for edit in made["edits"]] == ["delay", "end"]
    path = f"/journeys/{made['journey_id']}"
    assert (await world.get(path))["key"] == "plain"
    await world.post(f"{path}/publish")
    assert (await put(world, "plain", {"graph": PLAIN}))["action"] == "unchanged"
    graph = {**PLAIN, "nodes": [delay(5, "end"), leave("end")]}
    would = await put(world, "plain", {"graph": graph}, dry_run="true")
    assert (would["action"], would["live"]) == ("changed", "differs")
    assert would["edits"] == [{"place": "delay", "change": "changed", "fields": ["seconds"]}]
    assert (await world.get(path))["graph"] == PLAIN, "a dry run changes nothing"
    assert (await put(world, "plain", {"graph": graph}))["before"] == PLAIN
    found = await world.get(path)
    assert (found["graph"], found["live_version"], found["draft_revision"]) == (graph, 1, 2)


async def test_a_dry_run_of_a_new_file_makes_nothing(world: World) -> None:
    assert (await put(world, "new", {"graph": PLAIN}, dry_run="true"))["journey_id"] is None
    assert (await world.get("/journey-files"))["items"] == []


async def test_what_comes_out_goes_in_again_unchanged(world: World) -> None:
    called = await world.post("/journeys", {"key": "called", "graph": PLAIN})
    graph = await world.mail_graph()
    call = {"id": "call", "type": "journey", "journey_id": called["id"], "next": "end"}
    graph["nodes"][0]["next"] = "call"
    graph["nodes"].insert(1, call)
    await world.post("/journeys", {"key": "calling", "graph": graph})
    file = await world.get("/journey-files/calling")
    mail = graph["nodes"][0]
    assert file["graph"] == graph
    assert file["references"] == {
        "channels": {mail["channel_id"]: "Mailbox"},
        "templates": {mail["template_id"]: "Reminder"},
        "experiments": {},
        "journeys": {called["id"]: "called"},
    }
    body = {"graph": file["graph"], "references": file["references"]}
    assert (await put(world, "calling", body))["action"] == "unchanged"
    keys = [each["key"] for each in (await world.get("/journey-files"))["items"]]
    assert keys == ["calling", "called"]


async def test_elsewhere_what_a_file_mentions_is_found_by_its_name(world: World) -> None:
    graph = await world.mail_graph()
    await world.post("/journeys", {"key": "mail", "graph": graph})
    file = await world.get("/journey-files/mail")
    body = {"graph": file["graph"], "references": file["references"]}
    world.client.headers.update(user_headers("orchestrator", uuid4()))
    missing = await put(world, "mail", body, 422)
    assert [each["detail"] for each in missing["errors"]] == [
        "There is none here with the name 'Mailbox'; one is needed."
    ]
    channel, template = await world.email_channel(), await world.template()
    there = await put(world, "mail", body)
    mail = there["after"]["nodes"][0]
    assert (mail["channel_id"], mail["template_id"]) == (channel, template)
    assert there["problems"] == []
    await world.template()
    [error] = (await put(world, "mail", body, 422))["errors"]
    template_id = graph["nodes"][0]["template_id"]
    assert error == {
        "pointer": f"#/references/templates/{template_id}",
        "detail": "There are 2 here with the name 'Reminder'; one is needed.",
    }


async def test_a_key_belongs_to_one_journey_for_good(world: World) -> None:
    made = await world.post("/journeys", {"key": "plain", "graph": PLAIN})
    again = await world.client.post("/api/v1/journeys", json={"key": "plain", "graph": PLAIN})
    assert (again.status_code, again.json()["type"]) == (409, "/problems/journey-key-taken")
    named = await world.post("/journeys", {"graph": PLAIN})
    assert named["key"] == f"journey-{named['id'][-12:]}"
    await world.post(f"/journeys/{made['id']}/archive")
    assert (await put(world, "plain", {"graph": PLAIN}, 409))["state"] == "archived"
    keys = [each["key"] for each in (await world.get("/journey-files"))["items"]]
    assert keys == [named["key"]]


async def test_a_file_may_stay_unfinished_and_says_what_is_missing(world: World) -> None:
    graph = {**PLAIN, "nodes": [delay(60, "nowhere"), leave("end")]}
    made = await put(world, "plain", {"graph": graph})
    assert [each["pointer"] for each in made["problems"]] == ["#/graph/nodes/0/next"]
    assert (await world.client.get("/api/v1/journey-files/other")).status_code == 404
