"""Erasing one person: nothing of them is left in any store, and nothing brings them back."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.identifiers import subject_id
from services.kit.clickhouse import ClickHouse
from tests.support.app import user_headers
from tests.tracking.service import Running, eventually, track

pytestmark = pytest.mark.anyio


async def _post(both: Running, *events: dict[str, Any]) -> None:
    answer = await both.ingest.post("/v1/batch", json={"batch": list(events)})
    assert answer.status_code == 200, answer.text


def _person(both: Running, value: str = "ada", namespace: str = "user_id") -> UUID:
    return subject_id(both.tracking.workspace_id, namespace, value)


async def _api(both: Running, method: str, path: str, body: Any = None) -> Any:
    headers = user_headers("tracking", both.tracking.workspace_id)
    return await both.store.request(method, f"/api/v1/events{path}", json=body, headers=headers)


@pytest.fixture(autouse=True)
async def short_lived_parts(both: Running) -> None:
    """ClickHouse keeps the files of replaced parts for eight minutes, unless told otherwise."""
    clickhouse = await ClickHouse.open(both.tracking.clickhouse_dsn, readers=0)
    for table in ("events", "identity_map"):
        await clickhouse.command(f"ALTER TABLE {table} MODIFY SETTING old_parts_lifetime = 1")
    await clickhouse.close()


async def _erase(both: Running, profile_id: UUID) -> dict[str, Any]:
    """The certificate."""
    answer = await _api(both, "POST", "/erasures", {"profile_id": str(profile_id)})
    assert answer.status_code == 202, answer.text
    path = f"/erasures/{answer.json()['id']}"

    async def finished() -> Any:
        erasure = (await _api(both, "GET", path)).json()
        print(erasure)
        return erasure if erasure["state"] == "finished" else None

    return dict(await eventually(finished, within=120, what="the certificate"))


async def test_the_certificate_says_what_went_and_what_was_looked_at(both: Running) -> None:
    await _post(both, track("ada"), track("bob"), track("ada", "Bought"))
    await both.loaded(3)
    certificate = await _erase(both, _person(both))
    print(certificate)
    assert certificate["verified"] is True
    await both.loaded(1)
