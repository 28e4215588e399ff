"""Profile, tracking and assessment as the orchestrator sees them: HTTP from memory, by contract."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pyarrow as pa
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from services.contracts.assessment import Readiness, ReadinessReason
from services.contracts.changes import Change
from services.contracts.events import Outcome
from services.contracts.profile import (
    Facts,
    FactsRequest,
    Links,
    LinksWanted,
    ListMove,
    ProfileFacts,
    RuleRegistration,
    SegmentMembers,
)
from services.contracts.tracking import EventScan, RefusedEvent, SaidAccepted
from services.kit import feeds
from tests.support.serving import listening

SCHEMA = pa.schema(
    [
        ("profile_id", pa.string()),
        ("event", pa.string()),
        ("message_id", pa.string()),
        ("occurred_at_ms", pa.int64()),
        ("properties", pa.string()),
        ("context", pa.string()),
    ]
)


@dataclass
class Neighbours:
    """What the neighbours hold and what they were told. `down` names those that
    answer 503, `refused` those that answer 422."""

    rows: dict[str, list[feeds.FeedRow]] = field(default_factory=dict)
    people: dict[UUID, ProfileFacts] = field(default_factory=dict)
    facts_asked: list[FactsRequest] = field(default_factory=list)
    rules: dict[UUID, RuleRegistration] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    """Calls that were said in tracking's log, each message id once."""
    unsubscribed: list[str] = field(default_factory=list)
    """Tokens of links that were followed."""
    lists: dict[str, list[str]] = field(default_factory=dict)
    """People on each list."""
    past: list[tuple[str, str, str, int, str, str]] = field(default_factory=list)
    page_size: int = 100_000
    members_page: int = 10_000
    readiness: dict[str, Any] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    on_facts: Callable[[], Awaitable[None]] | None = None
    """What goes on elsewhere while facts are asked for."""
    url: str = ""

    def append(self, workspace_id: UUID, *changes: Change) -> None:
        """One row of profile's change feed."""
        rows = self.rows.setdefault(str(workspace_id), [])
        rows.append(feeds.FeedRow(len(rows) + 1, len(changes), 0, feeds.pack(list(changes))))

    def person(self, **facts: Any) -> UUID:
        """Somebody with an address, unless said otherwise."""
        profile_id = uuid4()
        values = {
            "asked_id": profile_id,
            "profile_id": profile_id,
            "identifiers": {"email": [f"{profile_id}@example.com"]},
            **facts,
        }
        self.people[profile_id] = ProfileFacts(**values)
        return profile_id

    def ready(self, level: int | None, mode: str) -> None:
        limited = level is None or level < 3
        reason = ReadinessReason(code="level_below_3", score=level, needed=3, en="Low.", zh="低。")
        self.readiness = Readiness(
            workspace_id=uuid4(),
            level=level,
            level_gated=level,
            status="pilot" if limited else "full",
            max_channels=2 if limited else None,
            mode=mode,
            reasons=[reason] if limited else [],
            assessment_id=None,
            assessed_at=None,
        ).model_dump(mode="json")

    def app(self) -> FastAPI:
        app = FastAPI()
        profile, tracking = "/internal/v1", "/internal/v1"

        @app.middleware("http")
        async def outage(request: Request, call_next: Any) -> Any:
            name = request.url.path.split("/")[3]
            if name in self.refused:
                return JSONResponse({"detail": "not like this"}, 422)
            return Response(status_code=503) if name in self.down else await call_next(request)

        @app.get(f"{profile}/feed/partitions")
        async def partitions() -> dict[str, list[str]]:
            return {"partitions": list(self.rows)}

        @app.get(f"{profile}/feed")
        async def feed(partition: str, after: int, limit: int) -> Response:
            rows = self.rows.get(partition, [])
            page = feeds.FeedPage(rows[after : after + limit], len(rows))
            return Response(feeds.encode_page(page), media_type=feeds.MEDIA_TYPE)

        @app.post(f"{profile}/facts")
        async def facts(body: FactsRequest) -> Facts:
            return await self._facts(body)

        @app.put(f"{profile}/rules/{{rule_id}}")
        async def rules(rule_id: UUID, body: RuleRegistration) -> dict[str, str]:
            self.rules[rule_id] = body
            return {"rule_id": str(rule_id), "state": "ready"}

        @app.get("/internal/v1/readiness")
        async def readiness() -> dict[str, Any]:
            return self.readiness

        @app.post(f"{tracking}/outcomes")
        async def outcomes(request: Request) -> dict[str, int]:
            told = feeds.unpack(await request.body(), Outcome)
            self.outcomes += told
            return {"accepted": len(told)}

        @app.post(f"{tracking}/events/scan")
        async def scan(body: EventScan) -> Response:
            return self._scan(body)

        self._add_effects(app)
        return app

    def _add_effects(self, app: FastAPI) -> None:
        """What steps have others do."""
        profile, tracking = "/internal/v1", "/internal/v1"

        @app.get(f"{profile}/segments/{{segment_id}}/members")
        async def members(segment_id: str, limit: int, cursor: str = "0") -> SegmentMembers:
            found = self.lists.get(segment_id, [])
            start = int(cursor)
            end = start + min(limit, self.members_page)
            more = str(end) if end < len(found) else None
            return SegmentMembers(
                profile_ids=[UUID(each) for each in found[start:end]], next_cursor=more
            )

        @app.post(f"{profile}/segments/{{segment_id}}/list")
        async def move(segment_id: str, body: ListMove) -> dict[str, int]:
            people = self.lists.setdefault(segment_id, [])
            for each in map(str, body.profile_ids):
                if body.action == "remove" and each in people:
                    people.remove(each)
                elif body.action == "add" and each not in people:
                    people.append(each)
            return {"changed": len(body.profile_ids)}

        @app.post("/v1/unsubscribe/{token}")
        async def unsubscribe(token: str) -> Response:
            self.unsubscribed.append(token)
            return Response(status_code=200)

        @app.post(f"{tracking}/events")
        async def said(body: dict[str, list[dict[str, Any]]], source_id: str) -> SaidAccepted:
            known = {call["messageId"] for call in self.calls}
            refused = [
                RefusedEvent(index=index, pointer="", detail="not planned")
                for index, call in enumerate(body["batch"])
                if call.get("event") == "Unplanned"
            ]
            self.calls += [
                {**call, "source": source_id}
                for call in body["batch"]
                if call["messageId"] not in known and call.get("event") != "Unplanned"
            ]
            return SaidAccepted(occurred_at=[], offset=len(self.calls), refused=refused)

    async def _facts(self, body: FactsRequest) -> Facts:
        self.facts_asked.append(body)
        if self.on_facts is not None:
            await self.on_facts()
        return Facts(
            position=body.min_position,
            at=datetime.now(UTC),
            profiles=[self._person(i, body.links) for i in body.profile_ids],
        )

    def _person(self, profile_id: UUID, wanted: LinksWanted | None) -> ProfileFacts:
        found = self.people.get(profile_id)
        if found is None:
            return ProfileFacts(asked_id=profile_id, profile_id=profile_id, exists=False)
        purposes = wanted.purposes if wanted else []
        unsubscribe = {purpose: f"{purpose.replace(':', '-')}-{profile_id}" for purpose in purposes}
        links = Links(preferences=f"p-{profile_id}", unsubscribe=unsubscribe, confirm={})
        return found.model_copy(update={"links": found.links or links})

    def _scan(self, body: EventScan) -> Response:
        since = body.since.timestamp() * 1000 if body.since else float("-inf")
        until = body.until.timestamp() * 1000 if body.until else float("inf")
        rows = sorted(
            (r for r in self.past if r[1] in body.events and since <= r[3] < until),
            key=lambda r: r[3],
        )
        start = int(body.cursor or 0)
        page = rows[start : start + self.page_size]
        columns = [list(c) for c in zip(*page, strict=True)] or [[] for _ in SCHEMA]
        table = pa.table(columns, schema=SCHEMA)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        more = start + len(page) < len(rows)
        headers = {"X-Next-Cursor": str(start + len(page))} if more else {}
        return Response(sink.getvalue().to_pybytes(), headers=headers)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with listening(self.app()) as url:
            self.url = url
            yield
