"""How long an event takes to be seen: in a query, on the profile, as a message in the sink.

Prints one JSON line: median and 95th percentile over 200 tries, in seconds.
"""

import json
import os
import platform as machine
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.instance import Instance
from tests.support.platform import Mailbox, Platform, identify, track

TRIES = 200


def test_seen_after(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Instance(tmp_path / "data") as instance, Mailbox() as mailbox:
        platform = Platform(instance)
        event, user = "Bench", f"u-{uuid4()}"
        platform.email_journey(mailbox, event)
        platform.batch(identify(user, email=f"{user}@example.com"))
        took: dict[str, list[float]] = {"query": [], "profile": [], "message": []}
        for number in range(TRIES):
            user = f"u-{uuid4()}"
            started = time.monotonic()
            platform.batch(
                identify(user, email=f"{user}@example.com"),
                track(user, event, subject=f"try-{number}"),
            )
            waiting: dict[str, Callable[[], bool]] = {
                "message": lambda n=number: f"try-{n}" in mailbox.subjects,  # type: ignore[misc]
                "profile": lambda u=user: platform.profile(u) is not None,  # type: ignore[misc]
                "query": lambda n=number: platform.count(event) > n,  # type: ignore[misc]
            }
            while waiting:
                for name in [name for name, seen in waiting.items() if seen()]:
                    took[name].append(time.monotonic() - started)
                    del waiting[name]
        platform.close()
    figures = {
        name: {
            "p50_s": round(statistics.median(times), 3),
            "p95_s": round(statistics.quantiles(times, n=20)[-1], 3),
        }
        for name, times in took.items()
    }
    with capsys.disabled():
        line = {"tries": TRIES, "cores": os.cpu_count(), "python": machine.python_version()}
        print(json.dumps({"bench": "seen_after", **line, **figures}))
