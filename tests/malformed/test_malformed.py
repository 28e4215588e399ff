"""Whatever comes in: no answer of 5xx, and no good event lost for the sake of a bad one.

``MALFORMED_COUNT`` and ``MALFORMED_SEED`` choose another corpus, as ``make malformed`` does.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.kit import postgres
from services.tracking.webhooks import service
from services.tracking.webhooks.model import WebhookPut
from tests.malformed.corpus import Case, bombs, cases
from tests.malformed.door import Door, standing
from tests.malformed.families import FAMILIES, MAPPING
from tests.support.postgres import NewDatabase
from tests.tracking.service import eventually

pytestmark = pytest.mark.anyio

_AT_ONCE = 16


class Corpus(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MALFORMED_", extra="ignore")

    count: int = 10_000
    seed: int = 3


@pytest.fixture
async def door(database: NewDatabase) -> AsyncIterator[Door]:
    """Its source has a webhook that takes every order of the corpus."""
    async with standing(database) as found:
        await _configure(found)
        yield found


async def _configure(door: Door) -> None:
    engine = postgres.create_engine(door.tracking.settings("ingest"))
    maker = postgres.create_sessionmaker(engine)
    body = WebhookPut.model_validate({"signature": {"scheme": "none"}, "mapping": MAPPING})
    workspace_id, source_id = door.tracking.workspace_id, door.keys["source_id"]
    async with postgres.workspace_tx(maker, workspace_id) as session:
        await service.put(session, workspace_id, source_id, body)
    await engine.dispose()
    item = b'[{"id":"%d","kind":"order","customer":{"id":"u"}}]'
    tries = iter(range(10_000))

    async def mapped() -> bool:
        await door.ask(Case("probe", "/v1/webhooks", item % next(tries)))
        return bool(await door.tracking.logged())

    await eventually(mapped, what="the webhook in force")


async def _send(door: Door, corpus: Iterator[Case]) -> tuple[Counter[int], list[str], set[str]]:
    """Statuses, the names of cases answered with 5xx, and the ids that had to be accepted."""
    statuses: Counter[int] = Counter()
    broken: list[str] = []
    good: set[str] = set()

    async def client() -> None:
        for case in corpus:
            status = await door.ask(case)
            statuses[status] += 1
            if status >= 500:
                broken.append(f"{case.name} at {case.path}: {status}")
            good.update(case.good)

    await asyncio.gather(*(client() for _ in range(_AT_ONCE)))
    return statuses, broken, good


async def test_no_malformed_input_is_a_5xx_or_costs_a_good_event(door: Door) -> None:
    wanted = Corpus()
    statuses, broken, good = await _send(door, cases(wanted.seed, wanted.count))
    assert broken == []
    assert statuses.total() == wanted.count
    assert set(statuses) <= {200, 400, 401, 404, 405, 413, 414, 431}, statuses
    stored = {event.message_id for event in await door.tracking.logged()}
    assert len(good) > wanted.count / 4
    assert good - stored == set()


async def test_a_bomb_is_refused_on_every_path(door: Door) -> None:
    paths = [path for family in FAMILIES.values() for path in family.paths]
    corpus = [Case(name, path, body) for name, body in bombs().items() for path in paths]
    for case in corpus:
        assert await door.ask(case) in (400, 413), (case.name, case.path)
