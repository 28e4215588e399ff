"""The service as a whole: health and its OpenAPI document."""

import httpx2
import pytest
from openapi_spec_validator import validate

from tests.profile.conftest import World

pytestmark = pytest.mark.anyio


async def test_a_running_service_is_ready(world: World) -> None:
    answer = await world.client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["checks"] == {"database": "ok", "workers": "ok"}


async def test_the_openapi_document_is_valid_and_shows_only_the_public_paths(world: World) -> None:
    document = (await world.client.get("/openapi.json")).json()
    validate(document)
    below = {tuple(path.split("/")[1:4]) for path in document["paths"]}
    assert {names[2] for names in below if names[0] == "api"} == {
        *("profiles", "merges", "segments", "stages", "computed-traits"),
        *("accounts", "account-segments", "conflicts", "identity-policy"),
        *("predictions", "clusterings", "rfm"),
        *("changes", "change-subscriptions"),
        *("erasures", "suppressions", "profile-exports"),
        *("trait-definitions", "trait-refusals", "trait-settings"),
        *("consents", "subscription-groups"),
    }
    assert {names[1] for names in below if names[0] != "api"} == {
        "unsubscribe",
        "preferences",
        "confirm",
    }
    operations = [o for path in document["paths"].values() for o in path.values()]
    assert len({o["operationId"] for o in operations}) == len(operations)
    assert all(o.get("summary") and "responses" in o for o in operations)


async def test_without_tracking_profiles_can_still_be_read(world: World) -> None:
    await world.post(world.event(("user_id", "u1")))
    world.tracking.down = True
    answer: httpx2.Response = await world.call("GET", "/api/v1/profiles")
    assert len(answer.json()["items"]) == 1
    assert (await world.client.get("/readyz")).status_code == 200
    world.tracking.down = False
    await world.post(world.event(("user_id", "u2")))
