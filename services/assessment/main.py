"""Wires the assessment service: ``uvicorn services.assessment.main:create_app --factory``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

from fastapi import FastAPI, Request

from services.assessment.assessments import routes as assessments
from services.assessment.questionnaires import routes as questionnaires
from services.assessment.questionnaires.library import built_in
from services.assessment.readiness import routes as readiness
from services.assessment.responses import routes as responses
from services.assessment.results import routes as results
from services.assessment.settings import AssessmentSettings
from services.kit import app as kit_app
from services.kit import postgres

DESCRIPTION = """
How mature is the organization at managing customer journeys, and what follows from it?

1. Read a questionnaire (`GET /api/v1/questionnaires/journey-maturity`): 33 items in six
   dimensions, each with five statements in English and Chinese, and the respondent groups.
2. Create an assessment (`POST /api/v1/assessments`) and post one response per person.
3. Read its results at any time: scores, the maturity level, strengths and weaknesses.
4. Readiness tells how many channels a journey may use at that level, and why.
"""


class State(TypedDict):
    sessionmaker: postgres.SessionMaker


async def _database(request: Request) -> None:
    await postgres.ping(request.state.sessionmaker)


def create_app(settings: AssessmentSettings | None = None) -> FastAPI:
    settings = settings or AssessmentSettings()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        built_in()  # a broken instrument stops the start, not a respondent
        engine = postgres.create_engine(settings)
        yield {"sessionmaker": postgres.create_sessionmaker(engine)}
        await engine.dispose()

    app = kit_app.create_app(
        "assessment",
        settings,
        title="Assessment",
        description=DESCRIPTION,
        lifespan=lifespan,
        checks={"postgres": _database},
    )
    for feature in (questionnaires, assessments, responses, results, readiness):
        app.include_router(feature.router)
    return app
