"""The demo's story over the public API: import, look, map, journey, replay, import again."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2

from infra.demo.api import Api, until
from infra.demo.check import Expected
from infra.demo.instance import DemoFailed, Instance

_MAPPINGS = Path(__file__).parent / "mappings"
_JOURNEY = Path(__file__).with_name("journey.json")

# The origin written in the mappings; the last event is at hour 714, the last wait ends 72 h later.
ORIGIN = datetime(2018, 1, 1, tzinfo=UTC)
CLOCK_END = ORIGIN + timedelta(hours=714 + 72)
SINCE, UNTIL = ORIGIN.isoformat(), (ORIGIN + timedelta(hours=715)).isoformat()

_EVENTS = {
    "received": "Offer Received",
    "viewed": "Offer Viewed",
    "completed": "Offer Completed",
    "transactions": "Transaction",
}
# Touchpoint of the five-stage template → the event that shows it; the others stay assumptions.
_SIGNALS = {
    "aw_t4": "Offer Received",
    "co_t6": "Offer Viewed",
    "pu_t3": "Offer Completed",
    "re_t3": "Transaction",
}
_CHECKPOINT = "Demo Checkpoint"
_VISIBLE_SECONDS = 600.0
_REPLAY_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Imported:
    """What one run of the importer said, and how long it took."""

    sent: int
    rejected: int
    seconds: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.sent / max(self.seconds, 0.001)


def import_all(data: Path, instance: Instance, work: Path) -> Imported:
    """Run `waymark import` on profiles and transcript; raises DemoFailed when it fails."""
    sent = rejected = 0
    started = time.monotonic()
    for name, file in (("profiles", "profile.json.gz"), ("transcript", "transcript.json.gz")):
        command = [sys.executable, "-m", "cli", "import", str(data / file), "--json"]
        command += ["--mapping", str(_MAPPINGS / f"{name}.yaml")]
        command += ["--credentials", str(instance.credentials), "--batch", "1000"]
        command += ["--rejects", str(work / f"{name}-rejects.ndjson")]
        command += ["--state", str(work / f"{name}-state.json")]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise DemoFailed(f"waymark import {file} ended with {done.returncode}")
        [report] = json.loads(done.stdout)["files"]
        sent, rejected = sent + report["sent"], rejected + report["rejected"]
    return Imported(sent, rejected, time.monotonic() - started)


def counts(api: Api) -> dict[str, int | str]:
    """Events by kind, the sum of amounts and the number of profiles, all as the API says now."""
    series = [{"event": name} for name in _EVENTS.values()]
    series.append({"event": "Transaction", "measure": "sum", "property": "amount"})
    query = {"since": SINCE, "until": UNTIL, "interval": "total", "series": series}
    points = api.post("/analytics/trends", query)["points"]
    values = {point["series"]: point["value"] for point in points}
    found: dict[str, int | str] = {
        key: round(values.get(index, 0)) for index, key in enumerate(_EVENTS)
    }
    found["amount"] = f"{values.get(len(_EVENTS), 0):.2f}"
    found["profiles"] = sum(1 for _ in api.items("/profiles"))
    return found


def wanted(check: Expected) -> dict[str, int | str]:
    """The same numbers as `counts`, from the independent check."""
    keys = ("received", "viewed", "completed", "transactions", "amount", "profiles")
    return {key: getattr(check, key) for key in keys}


def await_visible(api: Api, instance: Instance, person: str) -> float:
    """Wait until everything sent so far is in the analytics and in the profiles; the seconds.

    The log keeps its order, so it is enough to wait for one more event behind it: a checkpoint of
    a person that exists already.
    """
    started, checkpoint = time.monotonic(), str(uuid4())
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    event = {"userId": person, "event": _CHECKPOINT, "messageId": checkpoint, "timestamp": at}
    answer = httpx2.post(f"{instance.url}/v1/track", json=event, auth=(instance.write_key, ""))
    if answer.is_error:
        raise DemoFailed(f"POST /v1/track answered {answer.status_code}: {answer.text[:500]}")

    def in_profile() -> bool:
        [profile] = api.get("/profiles", namespace="user_id", value=person)["items"] or [None]
        return profile is not None and bool(profile["last_seen_at"][:23] >= at[:23])

    def in_events() -> bool:
        found = api.get("/events", event=_CHECKPOINT, limit=1)["items"]
        return bool(found) and bool(found[0]["message_id"] == checkpoint)

    until("the imported profiles", _VISIBLE_SECONDS, in_profile)
    until("the imported events", _VISIBLE_SECONDS, in_events)
    return time.monotonic() - started


def somebody(data: Path) -> str:
    """A person of the files."""
    with gzip.open(data / "profile.json.gz", "rt", encoding="utf-8") as stream:
        return str(json.loads(next(stream))["id"])


def make_map(api: Api) -> dict[str, Any]:
    """A map from the built-in template with signals bound; its id, overlay and picture."""
    name = {"en": "Rewards programme", "zh": "会员奖励计划"}
    created = api.post("/maps", {"template_id": "lifecycle5", "name": name})
    for touchpoint, event in _SIGNALS.items():
        api.put(
            f"/maps/{created['id']}/touchpoints/{touchpoint}/signal", {"signal": {"event": event}}
        )
    window = {"since": SINCE, "until": UNTIL}
    return {
        "id": created["id"],
        "overlay": api.get(f"/maps/{created['id']}/overlay", **window),
        "picture": api.text(f"/maps/{created['id']}/picture.svg", **window),
    }


def offer_funnel(api: Api) -> list[dict[str, Any]]:
    """People who received, viewed and completed offers, in this order within the period."""
    names = ("received", "viewed", "completed")
    steps = [{"name": _EVENTS[name], "any_of": [{"event": _EVENTS[name]}]} for name in names]
    query = {"since": SINCE, "until": UNTIL, "steps": steps, "within_seconds": 30 * 86400}
    found: list[dict[str, Any]] = api.post("/analytics/funnel", query)["steps"]
    return found


def publish_journey(api: Api, smtp_port: int) -> str:
    """Create channel, template and journey, and publish it; the journey's id."""
    channel = api.post("/channels", {
        "type": "email",
        "name": "Local sink",
        "sink": True,
        "host": "127.0.0.1",
        "port": smtp_port,
        "tls": "none",
        "from_address": "rewards@example.invalid",
        "from_name": "Rewards",
    })  # fmt: skip
    template = api.post("/message-templates", {
        "name": "Offer reminder",
        "subject": "Your {{ event.properties.offer_type }} offer is still open",
        "text": "You looked at an offer three days ago and have not used it yet.\n"
        "Offer: {{ event.properties.offer_id }}\n"
        "Spend {{ event.properties.difficulty }} to get your reward.\n",
    })  # fmt: skip
    graph = json.loads(_JOURNEY.read_text(encoding="utf-8"))
    for node in graph["nodes"]:
        if node["type"] == "message":
            node.update(channel_id=channel["id"], template_id=template["id"])
    journey = api.post("/journeys", {"graph": graph})
    api.post(f"/journeys/{journey['id']}/publish", {})
    return str(journey["id"])


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the replay answered: participants by how it went, and messages by state."""

    entered: int
    reminded: int
    completed_first: int
    people: int
    messages: dict[str, int]
    seconds: float


def replay(api: Api, journey_id: str) -> Replayed:
    """Replay the journey over the imported events into the sink, until the last message is out."""
    window = {"since": SINCE, "until": UNTIL, "clock_until": CLOCK_END.isoformat()}
    started = api.post(f"/journeys/{journey_id}/replay", window, deliver="sink")
    path, found = f"/journeys/{journey_id}/replays/{started['id']}", dict[str, Any]()

    def over() -> bool:
        found.update(api.get(path))
        return found["state"] in ("completed", "failed")

    seconds = until("the end of the replay", _REPLAY_SECONDS, over, every=1.0)
    if found["state"] == "failed":
        raise DemoFailed(f"the replay failed: {found['problem']}")
    result = found["result"]
    return Replayed(
        entered=result["entered"],
        reminded=result["reminded"],
        completed_first=result["completed"],
        people=result["people"],
        messages=result["messages"],
        seconds=seconds,
    )
