"""Acknowledgement: how many events a second become durable, and how long one waits for it.

Prints one JSON line. Rates that are compared are taken in turn, and their ratio is the median.
"""

import json
import statistics
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.bench import load, stack
from tests.bench.load import MARK, Plan
from tests.bench.stack import Served, Stack
from tests.support.app import user_headers

ROUNDS = 3
BATCH = 100
SINGLE_CONNECTIONS, BATCH_CONNECTIONS = 64, 8
EVENT_BYTES = 415


def event() -> dict[str, Any]:
    """A track call of ``EVENT_BYTES`` as JSON; its message id is a mark."""
    made = {
        "type": "track",
        "messageId": MARK,
        "userId": "user-000000001",
        "event": "Order Completed",
        "timestamp": "2026-11-22T08:30:00.000Z",
        "properties": {"order_id": "o-1000001", "revenue": 129.5, "currency": "CNY"},
        "context": {
            "library": {"name": "analytics-node", "version": "2.3.0"},
            "locale": "zh-CN",
            "userAgent": "",
        },
    }
    missing = EVENT_BYTES - len(json.dumps(made)) - (len("0" * 23) - len(MARK))
    made["context"]["userAgent"] = "x" * missing  # type: ignore[index]
    return made


def rates(plans: dict[str, tuple[Served, Plan]]) -> dict[str, "Rounds"]:
    """Of each plan in turn, with the processor time of the server that answers it."""
    found = {name: Rounds() for name in plans}
    for _ in range(ROUNDS):
        for name, (served, plan) in plans.items():
            cpu = served.cpu_seconds
            figures = load.run(plan)
            found[name].rates.append(figures["rate"])
            found[name].cpu_us.append((served.cpu_seconds - cpu) / figures["requests"] * 1e6)
    return found


@dataclass
class Rounds:
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    """Per request: what is left of a comparison on a machine that does other things as well."""

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def figures(self) -> dict[str, int]:
        return {"per_s": round(self.rate), "cpu_us": round(statistics.median(self.cpu_us))}


def at_half(plan: Plan, peak: float) -> dict[str, float]:
    """How long an acknowledgement takes at half of the highest rate of requests."""
    found = load.run(replace(plan, rate=peak / 2, seconds=10.0))
    return {name: round(found[name], 2) for name in ("rate", "p50_ms", "p99_ms")}


def ratio(over: list[float], under: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(over, under, strict=True)), 2)


def singles(ingest: Served, baseline: Served, headers: dict[str, str]) -> dict[str, Any]:
    body = json.dumps(event())
    into = Plan(f"{ingest.url}/v1/track", body, headers, SINGLE_CONNECTIONS)
    read = Plan(f"{baseline.url}/read", body, headers, SINGLE_CONNECTIONS)
    found = rates({"ingest": (ingest, into), "fastapi_read": (baseline, read)})
    return {
        **{name: rounds.figures for name, rounds in found.items()},
        "ratio": ratio(found["ingest"].rates, found["fastapi_read"].rates),
        "half_rate": at_half(into, found["ingest"].rate),
    }


def batches(
    running: Stack, ingest: Served, baseline: Served, headers: dict[str, str]
) -> dict[str, Any]:
    body = json.dumps({"batch": [event()] * BATCH})
    into = Plan(f"{ingest.url}/v1/batch", body, headers, connections=BATCH_CONNECTIONS)
    bare = Plan(f"{baseline.url}/append", body, headers, connections=BATCH_CONNECTIONS)
    found: dict[str, list[float]] = {"ingest": [], "bare": [], "per_core": [], "postgres": []}
    for _ in range(ROUNDS):
        cpu, postgres = ingest.cpu_seconds, running.postgres_cpu_seconds
        figures = load.run(into)
        events = figures["requests"] * BATCH
        seconds = figures["requests"] / figures["rate"]
        found["ingest"].append(figures["rate"] * BATCH)
        found["per_core"].append(events / (ingest.cpu_seconds - cpu))
        found["postgres"].append((running.postgres_cpu_seconds - postgres) / seconds)
        found["bare"].append(load.run(bare)["rate"] * BATCH)
    half = at_half(into, statistics.median(found["ingest"]) / BATCH)
    return {
        "events_per_s": round(statistics.median(found["ingest"])),
        "events_per_s_per_core": round(statistics.median(found["per_core"])),
        "bare_append_events_per_s": round(statistics.median(found["bare"])),
        "ratio": ratio(found["ingest"], found["bare"]),
        "postgres_cores": round(statistics.median(found["postgres"]), 2),
        "half_rate": half,
    }


def through_the_gateway(running: Stack, ingest: Served, headers: dict[str, str]) -> dict[str, Any]:
    door, keys = running.door(ingest)
    key = {"X-Write-Key": keys["write_key"]}
    said: dict[str, Any] = {}
    for name, path, body, connections in (
        ("single", "/v1/track", json.dumps(event()), SINGLE_CONNECTIONS),
        ("batch", "/v1/batch", json.dumps({"batch": [event()] * BATCH}), BATCH_CONNECTIONS),
    ):
        direct = Plan(f"{ingest.url}{path}", body, headers, connections)
        through = Plan(f"{door.url}{path}", body, key, connections)
        found = rates({"direct": (ingest, direct), "through": (door, through)})
        said[name] = {
            **{each: rounds.figures for each, rounds in found.items()},
            "ratio": ratio(found["through"].rates, found["direct"].rates),
        }
    return said


def test_ingest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = stack.machine()
    headers = user_headers("tracking", uuid4(), scopes=("ingest",), source_id="bench")
    with stack.running(tmp_path) as running:
        ingest = running.ingest()
        baseline = running.serve(
            "tests.bench.baseline:create_app", BASELINE_POSTGRES_DSN=running.tracking.app_dsn
        )
        figures = {
            "single": singles(ingest, baseline, headers),
            "batch": batches(running, ingest, baseline, headers),
            "gateway": through_the_gateway(running, ingest, headers),
            "ingest_rss_mb": round(ingest.rss_bytes / 1e6),
        }
    with capsys.disabled():
        print(json.dumps({"bench": "ingest", "machine": before, **figures}))
