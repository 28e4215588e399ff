"""Message templates over HTTP."""

from uuid import uuid4

import pytest

from tests.orchestrator.conftest import World

pytestmark = pytest.mark.anyio

BODY = {"name": "T", "subject": "Hi {{ profile.traits.name }}", "text": "{{ event.name }}"}


async def test_a_preview_renders_with_given_values(world: World) -> None:
    template_id = await world.template(**BODY, html="<p>{{ profile.traits.name }}</p>")
    values = {"profile": {"traits": {"name": "<Ada>"}}, "event": {"name": "Viewed"}}
    preview = await world.post(f"/message-templates/{template_id}/preview", values)
    assert preview == {"subject": "Hi <Ada>", "text": "Viewed", "html": "<p>&lt;Ada&gt;</p>"}


@pytest.mark.parametrize("part", ["subject", "text", "html"])
async def test_a_source_that_does_not_parse_is_refused_by_part(world: World, part: str) -> None:
    response = await world.client.post("/api/v1/message-templates", json={**BODY, part: "{% if %}"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == f"#/{part}"


async def test_replace_archive_and_list(world: World) -> None:
    template_id = await world.template()
    path = f"/api/v1/message-templates/{template_id}"
    replaced = await world.client.put(path, json={**BODY, "name": "New"})
    assert replaced.json()["name"] == "New"
    assert [t["name"] for t in (await world.get("/message-templates"))["items"]] == ["New"]
    assert (await world.client.delete(path)).status_code == 204
    assert (await world.get("/message-templates"))["items"] == []
    assert (await world.client.get(path)).json()["type"] == "/problems/message-template-not-found"


async def test_a_preview_that_hits_a_bound_is_the_callers_problem(world: World) -> None:
    bomb = "{% for i in (1..9999) %}{% for j in (1..9999) %}{% endfor %}{% endfor %}"
    template_id = await world.template(text=bomb)
    response = await world.client.post(f"/api/v1/message-templates/{template_id}/preview", json={})
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "#/text")


async def test_an_unknown_template_is_a_404(world: World) -> None:
    response = await world.client.post(f"/api/v1/message-templates/{uuid4()}/preview", json={})
    assert response.status_code == 404
