"""The impact of a merge on journeys, as the orchestrator tells it or not."""

from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI, Response

from services.contracts.orchestrator import Impact, ImpactRequest, JourneyImpact
from services.profile.main import create_app
from tests.profile.clock import FakeClock
from tests.profile.conftest import World, settings
from tests.profile.merges.test_routes import merge, two_known, undo
from tests.profile.tracking import FakeTracking
from tests.support.app import running
from tests.support.postgres import Database
from tests.tracking.sockets import serving

pytestmark = pytest.mark.anyio

KNOWN = Impact(
    journeys=[
        JourneyImpact(journey_id=uuid4(), name="Welcome", version=2, participating=1, exited=3)
    ],
    messages={"accepted": 2},
)


class Orchestrator:
    def __init__(self) -> None:
        self.status = 200
        self.asked: list[ImpactRequest] = []

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/internal/v1/impact")
        async def impact(body: ImpactRequest) -> Any:
            self.asked.append(body)
            return KNOWN if self.status == 200 else Response(status_code=self.status)

        return app


async def test_the_ledger_asks_for_everybody_and_is_readable_without_an_answer(
    profile_database: Database, tracking: FakeTracking, clock: FakeClock
) -> None:
    orchestrator = Orchestrator()
    async with serving(orchestrator.app()) as url:
        how = settings(profile_database, tracking).model_copy(update={"orchestrator_url": url})
        async with running(create_app(how, clock)) as client:
            world = World(client, tracking, uuid4())
            one, other = await two_known(world)
            made = await merge(world, one, other)
            detail = await world.get(f"/merges/{made['id']}")
            assert detail["journeys"] == KNOWN.model_dump(mode="json")
            assert {str(each) for each in orchestrator.asked[0].profile_ids} == {one, other}
            assert detail["merged"]["traits"] == {"plan": "free", "age": 7}
            assert detail["survivor"]["traits"] == {"plan": "pro", "city": "Köln"}
            assert sorted(detail["merged"]["identifiers"]) == [
                ["anonymous_id", "a2"],
                ["user_id", "u2"],
            ]
            for status in (503, 500, 422):
                orchestrator.status = status
                assert (await world.get(f"/merges/{made['id']}"))["journeys"] == "unknown"
    async with running(create_app(how, clock)) as client:
        world = World(client, tracking, world.workspace_id)
        await undo(world, made["id"])
        detail = await world.get(f"/merges/{made['id']}")
        assert (detail["journeys"], detail["undone"]["revived_id"]) == ("unknown", other)
