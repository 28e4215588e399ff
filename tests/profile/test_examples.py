"""Every example of a request in the OpenAPI document is taken as it stands by a running service."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest

from services.contracts.profile import Facts
from services.contracts.tracking import BehaviourQuery
from tests.profile.conftest import World
from tests.profile.erasure.neighbours import Neighbours
from tests.profile.predictions.conftest import BehaviourTracking, settled
from tests.support.app import service_headers

pytestmark = pytest.mark.anyio

# In an order in which each finds what its path names; `*` keeps the id of what the step made.
STEPS = """
PUT /api/v1/identity-policy
PUT /api/v1/trait-settings
PUT /api/v1/trait-definitions/{name}
PATCH /api/v1/profiles/{profile_id}
POST /api/v1/profiles/import
POST /api/v1/computed-traits *trait_id
PUT /api/v1/computed-traits/{trait_id}
POST /api/v1/segments *segment_id
PUT /api/v1/segments/{segment_id}
POST /api/v1/segments/preview
POST /api/v1/segments/{list_id}/members
POST /api/v1/segments/{list_id}/members/remove
POST /api/v1/segments/{list_id}/members/upload
POST /api/v1/account-segments *account_segment_id
PUT /api/v1/account-segments/{account_segment_id}
POST /api/v1/accounts *account_id
PATCH /api/v1/accounts/{account_id}
PUT /api/v1/accounts/{account_id}/members/{profile_id}
POST /api/v1/change-subscriptions
POST /api/v1/predictions
POST /api/v1/clusterings *clustering_id
POST /api/v1/clusterings/{clustering_id}/segments
PUT /api/v1/consents/policy
PUT /api/v1/consents/wordings/{wording_id}/versions/{version}
POST /api/v1/profiles/{profile_id}/consents
POST /api/v1/subscription-groups *group_id
PUT /api/v1/subscription-groups/{group_id}
PUT /api/v1/profiles/{profile_id}/subscriptions/{group_id}
POST /v1/preferences/{token}
POST /api/v1/profiles/{profile_id}/merge *merge_id
POST /api/v1/merges/{merge_id}/undo
POST /api/v1/profiles/{profile_id}/erase
POST /api/v1/suppressions/lift
"""

# Called otherwise above than in the document, since each kind of segment has ids of its own.
SAME_PATHS = {"list_id": "segment_id", "account_segment_id": "segment_id"}

# Ids that an example can only make up, by what they stand for.
STANDS_FOR = {
    "01890a5d-ac96-774b-bcce-b302099a8057": "segment_id",
    "0f9d7a52-5b1e-5d3f-9c2f-3d9e0f2b6c1f": "other_id",
    "019a4f1e-7d0a-7c55-9b1e-0e3f6c2d9a11": "group_id",
}


@pytest.fixture
async def tracking() -> AsyncIterator[BehaviourTracking]:
    fake = BehaviourTracking(counts=True, more=[Neighbours().router()])
    fake.go_on.set()
    async with fake.serving():
        yield fake


def examples(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Media type and body of each example of an operation."""
    for media_type, media in operation["requestBody"]["content"].items():
        name = media["schema"].get("$ref", "").rpartition("/")[2]
        schema = document["components"]["schemas"].get(name, media["schema"])
        shown = [media["example"]] if "example" in media else schema["examples"]
        yield from ((media_type, body) for body in shown)


async def people(world: World, tracking: BehaviourTracking) -> dict[str, str]:
    """40 people in two groups that are told apart at sight."""
    events = [
        world.event(
            ("user_id", f"u{i:02}"),
            type="identify",
            traits={"age": 60 + i % 5, "plan": "pro"} if i < 15 else {"age": 20 + i % 5},
        )
        for i in range(40)
    ]
    await world.post(*events)
    ids = [event.subject_id for event in events]

    def answer(query: BehaviourQuery) -> dict[str, list[Any]]:
        if query.measure == "hours":
            return {"profile_id": ids, "hour": [19.0] * 15 + [130.0] * 25, "events": [3.0] * 40}
        one = {"days": 4.0, "first_day": 1.0, "last_day": 9.0, "total": 80.0, "first_value": 20.0}
        return {"profile_id": ids[:15], **{name: [value] * 15 for name, value in one.items()}}

    tracking.answer = answer
    return {"profile_id": ids[0], "other_id": ids[1]}


async def token(world: World, profile_id: str) -> str:
    body = {"profile_ids": [profile_id], "links": {"channel": "email", "purposes": ["marketing"]}}
    answer = await world.call("POST", "/internal/v1/facts", body)
    [facts] = Facts.model_validate_json(answer.content).profiles
    assert facts.links is not None
    return facts.links.preferences


async def send(world: World, method: str, path: str, kind: str, text: str) -> httpx2.Response:
    caller = world.user if path.startswith("/api") else service_headers("gateway", "profile")
    headers = {**caller, "Content-Type": kind}
    return await world.client.request(method, path, content=text, headers=headers)


async def test_every_example_of_a_request_works(world: World, tracking: BehaviourTracking) -> None:
    document = (await world.client.get("/openapi.json")).json()
    steps = [line.partition(" *") for line in STEPS.split("\n") if line]
    named = {step: step for step, _, _ in steps}
    for ours, theirs in SAME_PATHS.items():
        named = {step: shown.replace(ours, theirs) for step, shown in named.items()}
    with_body = {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "requestBody" in operation
    }
    assert set(named.values()) == with_body

    made = {what: [value] for what, value in (await people(world, tracking)).items()}
    made |= {"name": ["blood_group"], "wording_id": ["newsletter"], "version": ["1"]}
    a_list = await world.call("POST", "/api/v1/segments", {"name": "A list"})
    made |= {"list_id": [a_list.json()["id"]], "token": [await token(world, *made["profile_id"])]}
    for step, _, kept in steps:
        method, path = named[step].split(" ")
        operation = document["paths"][path][method.lower()]
        for number, (kind, body) in enumerate(examples(document, operation)):
            text = body if isinstance(body, str) else json.dumps(body)
            for stand_in, what in STANDS_FOR.items():
                text = text.replace(stand_in, made.get(what, [stand_in])[0])
            # The second example of a replacement is for what the second example made.
            ids = {what: each[min(number, len(each) - 1)] for what, each in made.items()}
            answer = await send(world, method, step.split(" ")[1].format(**ids), kind, text)
            assert answer.is_success, f"{step} {text}: {answer.text}"
            assert answer.content == b"" or answer.json().get("refused", 0) == 0, answer.text
            if kept:
                made.setdefault(kept, []).append(answer.json()["id"])
        if kept == "clustering_id":
            await settled(world, f"/clusterings/{made[kept][0]}", "run")
