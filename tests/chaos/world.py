"""One instance under faults: its start with an operator's view, and the reckoning at the end."""

import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.chaos import analytics, stream
from tests.chaos.databases import Databases
from tests.chaos.ledger import Ledger
from tests.chaos.producer import CONNECTIONS, Producer
from tests.support.instance import Instance
from tests.support.platform import Platform
from tests.support.waiting import until


@dataclass(frozen=True)
class Reckoning:
    """What is kept, held against what all producers of a world have in their ledgers."""

    sent: int
    acknowledged: int
    stored: int
    """Rows in ClickHouse, without FINAL."""
    caught_up_seconds: float
    """From the last acknowledgement until every reader had read all."""
    answers: Mapping[str, int]
    lost: int
    """Acknowledged message ids that are not there."""
    duplicated: int
    foreign: int
    """Rows that nobody sent like this."""
    view_off_by: int
    """By how much the materialised view's days differ from the events."""
    trends_off_by: int
    profile_off_by: int
    """How many events profile told of too few or too often."""
    quarantined: int
    wrong_answers: Mapping[str, int]
    """Statuses that no fault excuses."""
    without_retry_after: int

    @property
    def faults(self) -> dict[str, Any]:
        """What may not be; empty when all is well."""
        harmless = ("sent", "acknowledged", "stored", "caught_up_seconds", "answers")
        return {k: v for k, v in asdict(self).items() if v and k not in harmless}


def seed(default: int) -> int:
    """``SEED`` of the environment, so that a run can be had again."""
    return int(os.environ.get("SEED", default))  # noqa: TID251 - the tests' own


class World:
    """``with World(directory) as world:`` a running instance whose ClickHouse has a view."""

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        self.data_dir = directory / "data"
        self.instance = Instance(self.data_dir, environment=environment)
        self.databases = Databases(self.data_dir)
        self.platform: Platform
        self._ledgers_file = directory / "ledger.tsv"
        self._ledgers: list[Ledger] = []

    def __enter__(self) -> "World":
        self.data_dir.mkdir(mode=0o700, exist_ok=True)
        analytics.prepare(self.data_dir)
        self.instance.__enter__()
        self.platform = Platform(self.instance)
        return self

    def __exit__(self, *exit: Any) -> None:
        self.platform.close()
        self.instance.__exit__(*exit)

    def producer(
        self,
        seed: str,
        *,
        events: int | None = None,
        largest_batch: int = 60,
        connections: int = CONNECTIONS,
        think_seconds: float = 0.0,
    ) -> Producer:
        """A producer whose ledger counts at the end; ``seed`` is its own within this world."""
        made = Producer(
            self.platform.url,
            self.platform.write_key,
            stream.requests(seed, events, largest_batch),
            connections=connections,
            think_seconds=think_seconds,
        )
        self.account(made.ledger)
        return made

    def account(self, ledger: Ledger) -> None:
        """Its events count at the end."""
        self._ledgers.append(ledger)

    def reckon(self, within: float = 60.0) -> Reckoning:
        """Waits for the readers, stops the instance and compares all it keeps with the ledgers.

        ``within``: seconds the readers may take.
        """
        began = time.monotonic()
        until(self.platform.ready, within=60.0, what="readiness after the faults")
        self.databases.await_readers(within)
        caught_up = round(time.monotonic() - began, 1)
        workspace_id = self.instance.credentials["workspace_id"]
        held = self.databases.held(workspace_id)
        trends = self._tracked_by_trends()
        assert self.instance.stop() == 0
        ledgers = self._ledgers
        for each in ledgers:
            each.write(self._ledgers_file)
        compared = analytics.compare(self.data_dir, workspace_id, self._ledgers_file)
        answers = sum((each.answers for each in ledgers), Counter[str]())
        return Reckoning(
            sent=sum(each.sent_events for each in ledgers),
            acknowledged=sum(each.acknowledged_events for each in ledgers),
            stored=compared.stored,
            caught_up_seconds=caught_up,
            answers=dict(answers),
            lost=compared.lost,
            duplicated=compared.duplicated,
            foreign=compared.foreign,
            view_off_by=compared.view_off_by,
            trends_off_by=abs(trends - compared.tracked),
            profile_off_by=held.profile_events
            - held.profile_distinct
            + abs(held.profile_distinct - compared.distinct),
            quarantined=held.quarantined,
            wrong_answers=sum((each.wrong_answers for each in ledgers), Counter[str]()),
            without_retry_after=sum(each.without_retry_after for each in ledgers),
        )

    def _tracked_by_trends(self) -> int:
        query = {
            "since": "2000-01-01T00:00:00Z",
            "until": "2100-01-01T00:00:00Z",
            "interval": "total",
            "series": [{"event": event} for event in stream.EVENTS],
        }
        answer = self.platform.call("POST", "/analytics/trends", json=query)
        assert answer.is_success, f"{answer.text}\n{self.instance.unplanned}"
        points = answer.json()["points"]
        return int(sum(point["value"] for point in points))
