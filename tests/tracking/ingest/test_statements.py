"""What other services say for people goes into the log as events."""

from typing import Any

import pytest

from services.tracking.main import create_app
from tests.support.app import running, service_headers, user_headers
from tests.support.postgres import NewDatabase
from tests.tracking.service import Tracking, each_log, track

pytestmark = pytest.mark.anyio

PATH = "/internal/v1/statements"


@pytest.fixture
def tracking(database: NewDatabase, log_dsn: str | None) -> Tracking:
    return Tracking(database("tracking"), clickhouse_dsn="", log_dsn=log_dsn)


@each_log
async def test_statements_are_events_of_the_api_and_the_answer_names_their_offset(
    tracking: Tracking,
) -> None:
    headers = service_headers("profile", "tracking", tracking.workspace_id)
    async with running(create_app(tracking.settings("ingest")), headers) as client:
        answers = [
            await client.post(PATH, json={"batch": [track(messageId=f"m{n}")]}) for n in (1, 2)
        ]
    assert [a.json() for a in answers] == [
        {"accepted": 1, "offset": 1},
        {"accepted": 1, "offset": 2},
    ]
    logged = await tracking.logged()
    assert [(e.message_id, e.source_id) for e in logged] == [("m1", "api"), ("m2", "api")]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"batch": [track(), {"type": "track", "event": "Said"}]}, "#/batch/1/userId"),
        ({"batch": [track(properties={"a": "\x00"})]}, "#/batch/0/properties/a"),
    ],
)
async def test_one_bad_statement_keeps_all_of_them_out_of_log_and_quarantine(
    tracking: Tracking, body: Any, pointer: str
) -> None:
    headers = service_headers("profile", "tracking", tracking.workspace_id)
    async with running(create_app(tracking.settings("ingest")), headers) as client:
        answer = await client.post(PATH, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert await tracking.logged() == []
    assert await tracking.quarantined() == []


async def test_only_services_make_statements(tracking: Tracking) -> None:
    headers = user_headers("tracking", tracking.workspace_id)
    async with running(create_app(tracking.settings("ingest")), headers) as client:
        answer = await client.post(PATH, json={"batch": [track()]})
    assert answer.status_code == 403
