"""Runs of clients against a Waymark: started together, waited for, and what was stored of each."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from tests.sdk.story import Event, Expect, Run
from tests.support.http_faults import Fault, FaultyProxy, Post, Refuse
from tests.support.instance import REPOSITORY
from tests.support.platform import Platform, track
from tests.support.waiting import until

ENDS_WITHIN_S = 90.0
"""A client that is still busy then hangs; the slowest waits of any are about 10 s."""
FAULTS: dict[str, Sequence[Fault]] = {
    "ok": (),
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


@dataclass(frozen=True)
class Client:
    """A client under test and what has to be stored of it."""

    name: str
    command: tuple[str, ...]
    library: str
    """As it calls itself in ``context.library.name``."""
    events: tuple[Expect, ...]
    message_ids: str = ".+"
    """A pattern of all its message ids."""
    options: dict[str, Any] = field(default_factory=dict)
    survives: frozenset[str] = frozenset({"500_twice", "503", "429", "answer_lost", "cut"})
    """The scenarios it loses nothing in, beside ``ok``."""
    in_short: frozenset[str] = frozenset({"ok", "refused_key", "500_twice", "answer_lost"})
    """The scenarios that are always run."""


@dataclass
class Outcome:
    """How a run ended. ``code``: the exit code, None for one that did not end."""

    run: Run
    code: int | None
    output: str
    errors: list[str]
    posts: list[Post]
    ended: datetime
    events: list[Event] = field(default_factory=list)


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
    return Run(key, source["id"], options=client.options)


def behind_faults(
    upstream: str, scenario: str, run: Run, use: Callable[[Run], tuple[int | None, str, str]]
) -> Outcome:
    """``use``: exit code, standard output and error of the client at a run's ``url``."""
    if scenario == "ok":
        # Nothing between the two, so that connections are kept as they are in the field.
        code, output, errors = use(replace(run, url=upstream))
        posts: list[Post] = []
    else:
        with FaultyProxy(upstream, FAULTS[scenario], CONFIGURATION) as proxy:
            code, output, errors = use(replace(run, url=proxy.url))
            posts = proxy.posts
    told = json.loads(output.splitlines()[-1])["errors"] if code == 0 else []
    ended = datetime.now(run.began.tzinfo)
    return Outcome(run, code, output + errors, told, posts, ended)


def execute(client: Client, upstream: str, scenario: str, run: Run) -> Outcome:
    """Runs a client's process to its end."""

    def use(run: Run) -> tuple[int | None, str, str]:
        try:
            done = subprocess.run(
                [*client.command, json.dumps(run.told())],
                cwd=REPOSITORY,
                capture_output=True,
                text=True,
                timeout=ENDS_WITHIN_S,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            return None, str(late.stdout), str(late.stderr)
        return done.returncode, done.stdout, done.stderr

    return behind_faults(upstream, scenario, run, use)


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
