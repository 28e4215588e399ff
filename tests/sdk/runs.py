"""Runs of clients against a Waymark: started together, waited for, and what was stored of each."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from tests.sdk.story import Event, Expect, Run
from tests.support.http_faults import Exchange, Fault, FaultyProxy, Refuse
from tests.support.instance import REPOSITORY
from tests.support.platform import Platform, track
from tests.support.waiting import until

ENDS_WITHIN_S = 90.0
"""A client that is still busy then hangs; the slowest waits of any are about 10 s."""
FAULTS: dict[str, Sequence[Fault]] = {
    "ok": (),
    "page_left": (),
    "refused_key": (),
    "500_twice": (Refuse(500), Refuse(500)),
    "503": (Refuse(503, 1),),
    "429": (Refuse(429, 1),),
    "413": (Refuse(413),),
    "answer_lost": ("lose",),
    "cut": ("cut",),
}
"""Scenario → what the client's first POSTs meet."""
CONFIGURATION = ("/flags",)
"""POSTs that carry no events."""


RETRIED = frozenset({"ok", "page_left", "500_twice", "503", "429", "answer_lost", "cut"})


@dataclass(frozen=True)
class Client:
    """A client under test and what has to be stored of it."""

    name: str
    command: tuple[str, ...]
    """Of a program; else the name of a page."""
    library: str
    """As it calls itself in ``context.library.name``."""
    events: tuple[Expect, ...]
    message_ids: str = ".+"
    """A pattern of all its message ids."""
    options: dict[str, Any] = field(default_factory=dict)
    survives: frozenset[str] = RETRIED
    """The scenarios it loses nothing in."""
    in_short: frozenset[str] = frozenset({"ok", "refused_key", "500_twice", "answer_lost"})
    """The scenarios that are always run."""
    requests: int = 1
    """The fewest POSTs its calls make; faults do not concern a client that makes none."""
    asks_first: bool = False
    """It posts nothing with a key its configuration was refused for."""


@dataclass(frozen=True)
class End:
    """How a use ended: ``code`` 0 if well, None for one that did not end; what it was told."""

    code: int | None
    output: str
    errors: list[str] = field(default_factory=list)


@dataclass
class Outcome:
    """A run, how it ended, and what was stored of it."""

    run: Run
    end: End
    seen: list[Exchange]
    ended: datetime
    events: list[Event] = field(default_factory=list)

    @property
    def statuses(self) -> list[int]:
        """What the POSTs of events were answered, 0 for no answer."""
        return statuses(self.seen)


def matrix(clients: Sequence[Client]) -> list[Any]:
    """Parameters (client, scenario): the short choice, or all with ``SDK_MATRIX=full``."""
    full = os.environ.get("SDK_MATRIX") == "full"  # noqa: TID251 - of the tests only
    return [
        pytest.param(client, scenario, id=f"{client.name}-{scenario}")
        for client in clients
        for scenario in FAULTS
        if scenario in client.in_short
        or (full and client.requests and scenario not in ("ok", "page_left"))
    ]


def node(script: str) -> tuple[str, ...]:
    return ("node", f"tests/sdk/clients/{script}.mjs")


def python(module: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"tests.sdk.clients.{module}")


def prepare(platform: Platform, client: Client, scenario: str) -> Run:
    """A run with a source of its own."""
    source = platform.post("/sources", {"name": f"{client.name} {scenario}"})
    key = source["write_key"]
    if scenario == "refused_key":
        key = key[:-4] + ("0000" if key[-4:] != "0000" else "1111")
    leave = {"leave": True} if scenario == "page_left" else {}
    return Run(key, source["id"], options=client.options | leave)


Use = Callable[[Client, Run, str, list[Exchange]], End]
"""Uses a client for a run in a scenario; the list grows with each request that came by."""


def statuses(seen: Sequence[Exchange]) -> list[int]:
    return [
        each.status
        for each in seen
        if each.method == "POST" and not each.path.startswith(CONFIGURATION)
    ]


def execute(client: Client, upstream: str, scenario: str, run: Run, use: Use) -> Outcome:
    """Uses a client to its end."""
    if scenario == "ok":
        # Nothing between the two, so that connections are kept as they are in the field.
        seen: list[Exchange] = []
        end = use(client, replace(run, url=upstream), scenario, seen)
    else:
        with FaultyProxy(upstream, FAULTS[scenario], CONFIGURATION) as proxy:
            seen = proxy.seen
            end = use(client, replace(run, url=proxy.url), scenario, seen)
    return Outcome(run, end, seen, datetime.now(UTC))


def process(client: Client, run: Run, scenario: str, seen: list[Exchange]) -> End:
    """The ``Use`` of a client that is a program."""
    command = [*client.command, json.dumps(run.told())]
    try:
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=ENDS_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return End(None, f"{late.stdout!r} {late.stderr!r}")
    told = json.loads(done.stdout.splitlines()[-1])["errors"] if done.returncode == 0 else []
    return End(done.returncode, done.stdout + done.stderr, told)


def collect(platform: Platform, outcomes: Sequence[Outcome]) -> None:
    """Gives each outcome the events stored of its source, all that were acknowledged.

    The log is stored in its order, so what comes before the last event is there with it.
    """
    last = f"All Ended {uuid4()}"
    platform.batch(track("waiter", last))
    until(lambda: stored(platform, event=last), within=60, what="the last event in the search")
    events = stored(platform)
    for outcome in outcomes:
        outcome.events = [e for e in events if e["source_id"] == outcome.run.source_id]


def stored(platform: Platform, **query: Any) -> list[Event]:
    """All events of the search, their times parsed."""
    events: list[Event] = []
    cursor: dict[str, str] = {}
    while True:
        page = platform.get("/events", limit=500, **query, **cursor)
        events += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    for event in events:
        for name in ("occurred_at", "received_at"):
            event[name] = datetime.fromisoformat(event[name])
    return events
