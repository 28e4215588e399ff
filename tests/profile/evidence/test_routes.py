"""Evidence over HTTP: each indicator counted by hand."""

from datetime import timedelta
from typing import Any

import pytest

from services.contracts.evidence import Evidence
from services.profile.clock import to_ms
from tests.profile.clock import FakeClock
from tests.profile.conftest import World

pytestmark = pytest.mark.anyio

PATH = "/internal/v1/evidence"


async def shares(world: World) -> dict[str, tuple[float | None, int, int | None, int]]:
    answer = await world.call("GET", PATH)
    assert answer.status_code == 200, answer.text
    found = Evidence.model_validate(answer.json())
    return {i.id: (i.value, i.numerator, i.denominator, i.window_days) for i in found.indicators}


async def test_an_empty_workspace_has_no_evidence_but_answers(world: World) -> None:
    assert await shares(world) == {
        "known_profile_share": (None, 0, 0, 30),
        "marketing_consent_share": (None, 0, 0, 1),
        "registered_trait_share": (None, 0, 0, 1),
        "segments": (0, 0, None, 1),
        "stage_models": (0, 0, None, 1),
    }


async def test_what_is_known_asked_and_defined_is_counted(world: World, clock: FakeClock) -> None:
    def said(name: tuple[str, str], days: int, *purposes: str, **traits: Any) -> Any:
        at = to_ms(clock.now() - timedelta(days=days))
        context = {"consent": {"categoryPreferences": dict.fromkeys(purposes, False)}}
        return world.event(name, type="identify", at=at, traits=traits, context=context)

    await world.post(
        said(("user_id", "u1"), 1, "marketing_email", plan="pro", age=7),
        said(("user_id", "u2"), 29, "analytics"),
        said(("user_id", "u3"), 31, "marketing", plan="free"),
        said(("anonymous_id", "a1"), 2, "marketing", shoe=44),
    )
    for name in ("plan", "shoe", "unused"):
        await world.call("PUT", f"/api/v1/trait-definitions/{name}", {"type": "string"})
    await world.call("DELETE", "/api/v1/trait-definitions/shoe")
    rule = {"rules": [{"field": "traits.plan", "operator": "=", "value": "pro"}]}
    made = await world.call("POST", "/api/v1/segments", {"name": "Pro", "rule": rule})
    assert made.status_code == 201, made.text
    assert await shares(world) == {
        "known_profile_share": (2 / 3, 2, 3, 30),
        "marketing_consent_share": (2 / 3, 2, 3, 1),
        "registered_trait_share": (1 / 3, 1, 3, 1),
        "segments": (1, 1, None, 1),
        "stage_models": (0, 0, None, 1),
    }


async def test_evidence_is_for_services_alone(world: World) -> None:
    answer = await world.client.get(PATH, headers=world.user)
    assert answer.status_code in (401, 403)
