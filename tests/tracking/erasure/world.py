"""A tracking service with somebody to erase in it."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.contracts.events import Event
from services.identifiers import subject_id
from tests.support.app import service_headers
from tests.tracking.service import Running, eventually


@dataclass
class World:
    both: Running

    @property
    def workspace_id(self) -> UUID:
        return self.both.tracking.workspace_id

    def subject(self, value: str, namespace: str = "user_id") -> UUID:
        return subject_id(self.workspace_id, namespace, value)

    async def post(self, *events: dict[str, Any]) -> None:
        answer = await self.both.ingest.post("/v1/batch", json={"batch": list(events)})
        assert answer.status_code == 200, answer.text

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        headers = service_headers("profile", "tracking", self.workspace_id)
        return await self.both.store.request(
            method, f"/internal/v1{path}", json=body, headers=headers
        )

    async def erase(self, profile_id: UUID, until: str = "purged") -> dict[str, Any]:
        """The erasure once it is in the state ``until`` or beyond."""
        answer = await self.call("POST", "/erasures", {"profile_id": str(profile_id)})
        assert answer.status_code == 202, answer.text
        return await self.reached(answer.json()["id"], until)

    async def reached(self, erasure_id: str, until: str) -> dict[str, Any]:
        async def look() -> Any:
            erasure = (await self.call("GET", f"/erasures/{erasure_id}")).json()
            return erasure if erasure["state"] in (until, "finished") else None

        return dict(await eventually(look, within=120, what=f"the state {until}"))

    async def readable(self) -> list[str]:
        """Message ids of what readers of the log get, from its start."""
        page = await self.both.read()
        return [e.message_id for row in page.rows for e in row.entries(Event)]

    async def stored(self) -> list[str]:
        """Message ids in ClickHouse."""
        rows = await self.both.tracking.clickhouse("message_id", "ORDER BY message_id")
        return [message_id for (message_id,) in rows]


def lines(certificate: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    """By store: erased, left, mentions."""
    return {
        line["store"]: (line["erased"], line["left"], line["mentions"])
        for line in json.loads(json.dumps(certificate["stores"]))
    }
