"""The identity map follows profile's feed: merges show in queries at once and can be undone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pyarrow as pa
import pytest
from fastapi import FastAPI, Response

from services.contracts.changes import Change, ChangeType
from services.contracts.rules import EventNode
from services.identifiers import subject_id
from services.kit.feeds import MEDIA_TYPE, FeedPage, FeedRow, encode_page, pack
from services.rules import normalise
from services.rules.aggregates import aggregate_of
from services.tracking.identity.fold import Link, LinkData, fold
from tests.support.clickhouse import embedded_and_cluster
from tests.tracking.service import Running, Tracking, eventually, track
from tests.tracking.sockets import serving

pytestmark = [pytest.mark.anyio, embedded_and_cluster]


def change(kind: ChangeType, profile_id: UUID, **data: Any) -> Change:
    return Change(kind, str(profile_id), 0, {name: str(value) for name, value in data.items()})


def linked(subject: UUID, profile: UUID) -> Change:
    return change("identity.linked", profile, namespace="email", value="x", subject_id=subject)


def merged(gone: UUID, survivor: UUID) -> Change:
    return change("profile.merged", survivor, merged_id=gone)


@dataclass
class FakeProfile:
    """Profile as tracking sees it: a feed of rows, each a list of changes."""

    workspace_id: UUID
    rows: list[list[Change]] = field(default_factory=list)
    down: bool = False

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[str]:
        app = FastAPI()

        @app.get("/internal/v1/feed/partitions")
        async def partitions() -> Any:
            return Response(status_code=503) if self.down else {"partitions": [self.workspace_id]}

        @app.get("/internal/v1/feed")
        async def feed(partition: UUID, after: int) -> Response:
            if self.down:
                return Response(status_code=503)
            rows = [
                FeedRow(number, len(changes), 0, pack(changes))
                for number, changes in enumerate(self.rows, 1)
                if number > after
            ]
            return Response(encode_page(FeedPage(rows, len(self.rows))), media_type=MEDIA_TYPE)

        async with serving(app) as url:
            yield url


@pytest.fixture
async def profile(tracking: Tracking) -> AsyncIterator[FakeProfile]:
    fake = FakeProfile(tracking.workspace_id)
    async with fake.answering() as url:
        tracking.profile_url = url
        yield fake


def subject(tracking: Tracking, namespace: str, value: str) -> UUID:
    return subject_id(tracking.workspace_id, namespace, value)


async def people(tracking: Tracking, count: int) -> None:
    async def look() -> bool:
        return await tracking.clickhouse("uniqExact(profile_id)") == [(count,)]

    await eventually(look, what=f"{count} people")


async def send(running: Running) -> None:
    anonymous = {"type": "track", "event": "Viewed", "anonymousId": "an1"}
    events = [track("u1"), track("u2"), anonymous]
    await running.ingest.post("/v1/batch", json={"batch": events})
    await running.loaded(3)


async def test_people_are_counted_canonically_right_after_links_merges_and_their_undoing(
    profile: FakeProfile, tracking: Tracking
) -> None:
    u1, u2 = (subject(tracking, "user_id", u) for u in ("u1", "u2"))
    an1 = subject(tracking, "anonymous_id", "an1")
    async with tracking.ingest() as ingest, tracking.store() as store:
        await send(Running(ingest, store, tracking))
        assert await tracking.clickhouse("uniqExact(profile_id)") == [(3,)]
        profile.rows.append([linked(u1, u1), linked(u2, u2), linked(an1, u2)])
        await people(tracking, 2)
        # The anonymous subject has to move on with the profile it was linked to.
        profile.rows.append([merged(u2, u1)])
        await people(tracking, 1)
        assert await tracking.clickhouse("DISTINCT profile_id") == [(u1,)]
        profile.rows.append([linked(u2, u2), linked(an1, u2)])
        await people(tracking, 2)


async def test_who_was_told_apart_is_not_counted_as_one_until_the_map_says_so(
    profile: FakeProfile, tracking: Tracking
) -> None:
    """Rows as profile writes them: an unmerge, then every subject of the one who lives again."""
    u1, u2 = (subject(tracking, "user_id", u) for u in ("u1", "u2"))
    an1 = subject(tracking, "anonymous_id", "an1")
    node = EventNode.model_validate({"event": "Viewed"})  # by each of the three
    leaf_id = normalise(node).leaves[0].leaf_id
    leaves = {leaf_id: node.model_dump(mode="json", by_alias=True, exclude_none=True)}
    query = {"leaves": leaves, "min_feed_offset": 2}
    data = {"merge_id": "m", "merged_id": str(u2), "subject_ids": [str(u2), str(an1)]}
    async with tracking.ingest() as ingest, tracking.store() as store:
        await send(Running(ingest, store, tracking))
        profile.rows.append([linked(an1, u2), merged(u2, u1)])
        await people(tracking, 1)
        answer = await store.post("/internal/v1/rules/query", json=query)
        assert answer.status_code == 503, "row 2 of the feed is not read yet"
        definition = {"kind": "count", "event": "Viewed"}
        of_traits = {
            "aggregates": {aggregate_of(definition).aggregate_id: definition},
            "min_feed_offset": 2,
        }
        answer = await store.post("/internal/v1/aggregates/query", json=of_traits)
        assert answer.status_code == 503, "nor for computed traits"
        undone = Change("profile.unmerged", str(u1), 0, {**data, "kept_subject_ids": [str(u1)]})
        profile.rows.append([undone, linked(u2, u2), linked(an1, u2)])

        async def answered() -> Any:
            response = await store.post("/internal/v1/rules/query", json=query)
            return response if response.status_code == 200 else None

        answer = await eventually(answered, what="row 2 of the feed is known")
        rows = pa.ipc.open_stream(answer.content).read_all().to_pylist()
        # The first answer there is must be right.
        totals = {row["profile_id"]: row["total"] for row in rows}
        assert totals == {str(u1): 1, str(u2): 2}
        answer = await store.post("/internal/v1/aggregates/query", json=of_traits)
        assert answer.status_code == 200
        assert pa.ipc.open_stream(answer.content).read_all().num_rows == 2


async def test_profile_being_down_is_waited_over_and_a_restart_goes_on(
    profile: FakeProfile, tracking: Tracking
) -> None:
    u1, u2 = (subject(tracking, "user_id", u) for u in ("u1", "u2"))
    profile.down = True
    async with tracking.ingest() as ingest, tracking.store() as store:
        await send(Running(ingest, store, tracking))
        assert (await store.get("/readyz")).status_code == 200
        profile.rows.append([merged(u2, u1)])
        profile.down = False
        await people(tracking, 2)
    profile.rows.append([merged(subject(tracking, "anonymous_id", "an1"), u1)])
    async with tracking.store():
        await people(tracking, 1)


async def test_only_subjects_of_another_profile_are_in_the_map(
    profile: FakeProfile, tracking: Tracking
) -> None:
    u1, other = uuid4(), uuid4()
    profile.rows.append([linked(u1, u1), linked(other, u1), change("profile.updated", u1)])
    async with tracking.store():

        async def mapped() -> list[Any]:
            return await tracking.sql("SELECT subject_id, profile_id FROM identity")

        assert await eventually(mapped) == [(other, u1)]


async def test_whom_profile_has_erased_is_erased_here_once(
    profile: FakeProfile, tracking: Tracking
) -> None:
    u1, u2 = (subject(tracking, "user_id", u) for u in ("u1", "u2"))
    an1 = subject(tracking, "anonymous_id", "an1")
    async with tracking.ingest() as ingest, tracking.store() as store:
        await send(Running(ingest, store, tracking))
        erased = Change("profile.erased", str(u1), 0, {"subject_ids": [str(u1), str(an1)]})
        profile.rows += [[linked(an1, u1)], [erased]]
        await Running(ingest, store, tracking).loaded(1)
        assert await tracking.clickhouse("profile_id") == [(u2,)]
    # The feed is read again from its start.
    await tracking.sql("DELETE FROM log_reader WHERE reader = 'identity' RETURNING 1")
    async with tracking.store():

        async def followed() -> list[Any]:
            return await tracking.sql(
                "SELECT 1 FROM log_reader WHERE reader = 'identity' AND position = 2"
            )

        await eventually(followed)
    assert await tracking.sql("SELECT count(*) FROM erasure") == [(1,)]


@pytest.mark.parametrize(
    ("links", "profiles", "subjects"),
    [
        ([("a", "link", "p")], {}, {"a": "p"}),
        ([("a", "link", "p"), ("a", "link", "q")], {}, {"a": "q"}),
        ([("a", "link", "p"), ("p", "merge", "q")], {"p": "q"}, {"a": "q", "p": "q"}),
        (
            [("p", "merge", "q"), ("q", "merge", "r")],
            {"p": "r", "q": "r"},
            {"p": "r", "q": "r"},
        ),
        ([("p", "merge", "q"), ("a", "link", "p")], {"p": "q"}, {"p": "q", "a": "p"}),
    ],
)
def test_a_page_of_changes_folds_into_final_places(
    links: list[tuple[str, str, str]], profiles: dict[str, str], subjects: dict[str, str]
) -> None:
    moves = fold(
        Link("identity.linked", to, LinkData(subject_id=each))
        if kind == "link"
        else Link("profile.merged", to, LinkData(merged_id=each))
        for each, kind, to in links
    )
    assert (moves.profiles, moves.subjects) == (profiles, subjects)
