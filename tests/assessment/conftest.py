"""The assessment service on a database of its own, and calls as two workspaces."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from services.assessment.main import create_app
from services.assessment.settings import AssessmentSettings
from tests.support.app import running, signing_key, trusted_keys, user_headers
from tests.support.postgres import Database, NewDatabase


@pytest.fixture
def assessment_database(database: NewDatabase) -> Database:
    return database("assessment")


@pytest.fixture
def assessment_app(assessment_database: Database) -> FastAPI:
    return create_app(
        AssessmentSettings(
            postgres_dsn=SecretStr(assessment_database.app_dsn),
            signing_key=SecretStr(signing_key("assessment")),
            trusted_keys=trusted_keys(),
        )
    )


@pytest.fixture
def workspace_id() -> UUID:
    return uuid4()


@pytest.fixture
async def api(assessment_app: FastAPI, workspace_id: UUID) -> AsyncIterator[httpx2.AsyncClient]:
    """Calls as a user of ``workspace_id``."""
    async with running(assessment_app, user_headers("assessment", workspace_id)) as client:
        yield client
