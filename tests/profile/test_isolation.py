"""Ids of one workspace are, for another, like ids that nobody has."""

from http import HTTPStatus
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI

from tests.profile.conftest import World

pytestmark = pytest.mark.anyio

PERSON = {"name": "People", "rule": {"rules": [{"field": "traits.a", "operator": "=", "value": 1}]}}
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("patch", "/api/v1/profiles/{profile_id}"): {"traits": {"a": 2}},
    ("post", "/api/v1/profiles/{profile_id}/merge"): {"merged_id": "", "reason": "x"},
    ("post", "/api/v1/profiles/{profile_id}/erase"): {"reason": "requested"},
    ("post", "/api/v1/profiles/{profile_id}/consents"): {"purpose": "ads", "state": "granted"},
    ("post", "/api/v1/merges/{merge_id}/undo"): {"reason": "x"},
    ("put", "/api/v1/segments/{segment_id}"): PERSON,
    ("patch", "/api/v1/accounts/{account_id}"): {"traits": {"a": 1}},
}


async def made(world: World, path: str, body: dict[str, Any]) -> str:
    answer = await world.call("POST", f"/api/v1{path}", body)
    assert answer.status_code in (201, 202), answer.text
    return str(answer.json()["id"])


async def test_ids_of_another_workspace_are_answered_like_unknown_ones(
    world: World, profile_app: FastAPI
) -> None:
    one = world.event(("user_id", "u1"), type="identify", traits={"a": 1})
    two = world.event(("user_id", "u2"), type="identify", traits={"a": 1})
    await world.post(one, two)
    ids = {
        "profile_id": one.subject_id,
        "segment_id": await made(world, "/segments", PERSON),
        "account_id": await made(world, "/accounts", {"group_id": "g"}),
        "merge_id": await made(
            world,
            f"/profiles/{one.subject_id}/merge",
            {"merged_id": two.subject_id, "reason": "x"},
        ),
        "export_id": await made(world, f"/profiles/{one.subject_id}/export", {}),
        "subscription_id": await made(
            world, "/change-subscriptions", {"url": "https://partner.example.org"}
        ),
        "trait_id": await made(
            world, "/computed-traits", {"name": "n", "kind": "count", "event": "E"}
        ),
    }
    stranger = World(world.client, world.tracking, uuid4())
    asked = set()
    for path, methods in profile_app.openapi()["paths"].items():
        named = {name for name in ids if f"{{{name}}}" in path}
        if not named or not path.startswith("/api/v1/"):
            continue
        for method in methods:
            answers = []
            for known in (ids, dict.fromkeys(ids, str(uuid4()))):
                url = path.format_map(Known(known))
                body = BODIES.get((method, path))
                if body is not None and "merged_id" in body:
                    body = {**body, "merged_id": str(uuid4())}
                answer = await stranger.call(method.upper(), url, body)
                refused = answer.is_error
                answers.append(
                    (answer.status_code, answer.json()["type"] if refused else answer.text)
                )
            assert answers[0] == answers[1], (method, path)
            if answers[0][0] == HTTPStatus.NOT_FOUND:
                asked |= named
    assert asked == set(ids)
    assert (await world.get(f"/segments/{ids['segment_id']}"))["name"] == "People"


class Known(dict[str, str]):
    """Names in a path that are not given are something that is nobody's."""

    def __missing__(self, key: str) -> str:
        return "1" if key == "version" else str(uuid4())
