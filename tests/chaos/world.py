"""One instance under faults: its start with an operator's view, and the reckoning at the end."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.stack import machine
from tests.chaos import analytics
from tests.chaos.databases import Databases
from tests.chaos.ledger import Ledger
from tests.chaos.stream import EVENTS
from tests.support.instance import Instance
from tests.support.platform import Platform
from tests.support.waiting import until


@dataclass
class Figures:
    """What an experiment found out. ``promise`` is its number; ``more`` the figures of its own."""

    promise: str
    seed: int
    seconds: float = 0.0
    sent: int = 0
    acknowledged: int = 0
    stored: int = 0
    lost: int = 0
    duplicated: int = 0
    foreign: int = 0
    view_off_by: int = 0
    profile_off_by: int = 0
    """How many events profile told of too few or too often."""
    trends_off_by: int = 0
    quarantined: int = 0
    answers: Mapping[str, int] = field(default_factory=dict)
    wrong_answers: Mapping[str, int] = field(default_factory=dict)
    without_retry_after: int = 0
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def faults(self) -> dict[str, Any]:
        """What may not be, empty when all is well."""
        found = {
            "lost": self.lost,
            "duplicated": self.duplicated,
            "foreign": self.foreign,
            "view_off_by": self.view_off_by,
            "profile_off_by": self.profile_off_by,
            "trends_off_by": self.trends_off_by,
            "quarantined": self.quarantined,
            "wrong_answers": self.wrong_answers,
            "without_retry_after": self.without_retry_after,
        }
        return {name: value for name, value in found.items() if value}

    def __str__(self) -> str:
        """One line of JSON."""
        values = {k: v for k, v in vars(self).items() if k != "more"} | self.more
        return json.dumps(values | {"machine": machine()}, default=str)


def seed(default: int) -> int:
    """``SEED`` of the environment, so that a run can be had again."""
    return int(os.environ.get("SEED", default))  # noqa: TID251 - the tests' own


class World:
    """``with World(directory) as world:`` a running instance whose ClickHouse has a view."""

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        self.data_dir = directory / "data"
        self._ledger_file = directory / "ledger.tsv"
        self.instance = Instance(self.data_dir, environment=environment)
        self.databases = Databases(self.data_dir)
        self.platform: Platform

    def __enter__(self) -> "World":
        self.data_dir.mkdir(mode=0o700, exist_ok=True)
        analytics.prepare(self.data_dir)
        self.instance.__enter__()
        self.platform = Platform(self.instance)
        return self

    def __exit__(self, *exit: Any) -> None:
        self.platform.close()
        self.instance.__exit__(*exit)

    def reckon(self, figures: Figures, ledger: Ledger, within: float = 60.0) -> Figures:
        """Waits for the readers, stops the instance and compares all that is kept with ``ledger``.

        ``within``: seconds the readers may take.
        """
        began = time.monotonic()
        until(self.platform.ready, within=60.0, what="readiness after the faults")
        self.databases.await_readers(within)
        figures.more["caught_up_seconds"] = round(time.monotonic() - began, 1)
        held = self.databases.held()
        trends = self._tracked_by_trends()
        workspace_id = self.instance.credentials["workspace_id"]
        assert self.instance.stop() == 0
        ledger.write(self._ledger_file)
        compared = analytics.compare(self.data_dir, workspace_id, self._ledger_file)
        figures.sent, figures.acknowledged = ledger.sent_events, ledger.acknowledged_events
        figures.stored, figures.lost = compared.stored, compared.lost
        figures.duplicated, figures.foreign = compared.duplicated, compared.foreign
        figures.view_off_by, figures.quarantined = compared.view_off_by, held.quarantined
        figures.profile_off_by = (held.profile_events - held.profile_distinct) + abs(
            held.profile_distinct - compared.distinct
        )
        figures.trends_off_by = abs(trends - compared.tracked)
        figures.answers, figures.wrong_answers = dict(ledger.answers), ledger.wrong_answers
        figures.without_retry_after = ledger.without_retry_after
        return figures

    def _tracked_by_trends(self) -> int:
        query = {
            "since": "2000-01-01T00:00:00Z",
            "until": "2100-01-01T00:00:00Z",
            "interval": "total",
            "series": [{"event": event} for event in EVENTS],
        }
        points = self.platform.post("/analytics/trends", query)["points"]
        return int(sum(point["value"] for point in points))
