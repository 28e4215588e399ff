"""The independent check against another reading of the same rule: a walk through the events."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from infra.demo.check import expected
from infra.demo.generator import generate

Row = dict[str, Any]
KINDS = {"b": "bogo", "d": "discount", "i": "informational"}


def write(folder: Path, events: list[tuple[str, str, str, int]]) -> None:
    """Files of (person, event, offer or amount, hour); the offers are named after their types."""
    rows = []
    for person, event, what, hour in events:
        key = "offer_id" if event == "offer completed" else "offer id"
        value = {"amount": float(what)} if event == "transaction" else {key: what}
        rows.append({"person": person, "event": event, "value": value, "time": hour})
    people = sorted({event[0] for event in events})
    pack(folder / "transcript.json.gz", rows)
    pack(folder / "profile.json.gz", [{"id": person} for person in people])
    offers = [{"id": key, "offer_type": kind} for key, kind in KINDS.items()]
    (folder / "portfolio.json").write_text("".join(json.dumps(offer) + "\n" for offer in offers))


def pack(path: Path, rows: list[Row]) -> None:
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


def walk(folder: Path) -> Row:
    """The rule told as a story: one pass in the order of time, instance by instance.

    Within an hour: receipts, then views (a completion in that hour does not block), then
    completions (one in that hour, or in the seventy-second after, is in time).
    """
    lines = [json.loads(row) for row in (folder / "portfolio.json").read_text().splitlines()]
    invited = {row["id"] for row in lines if row["offer_type"] in ("bogo", "discount")}
    with gzip.open(folder / "transcript.json.gz", "rt") as stream:
        rows = [json.loads(row) for row in stream]
    order = {"offer received": 0, "offer viewed": 1, "offer completed": 2, "transaction": 3}
    receipt: dict[tuple[str, str], int] = {}
    done: set[tuple[str, str]] = set()
    seen: set[tuple[str, str, int]] = set()
    waiting: dict[tuple[str, str], list[int]] = {}
    entered: Counter[str] = Counter()
    in_time = 0
    for row in sorted(rows, key=lambda row: (row["time"], order[row["event"]])):
        person, hour = row["person"], row["time"]
        key = (person, row["value"].get("offer id", row["value"].get("offer_id", "")))
        if row["event"] == "offer received":
            if receipt.get(key) != hour:
                receipt[key] = hour
                done.discard(key)
        elif row["event"] == "offer viewed" and key in receipt and key[1] in invited:
            instance = (*key, receipt[key])
            if instance not in seen and key not in done:
                entered[person] += 1
                waiting.setdefault(key, []).append(hour)
            seen.add(instance)
        elif row["event"] == "offer completed":
            done.add(key)
            in_time += sum(hour <= view + 72 for view in waiting.pop(key, []))
    amounts = [Decimal(str(row["value"].get("amount", 0))) for row in rows]
    names = Counter(row["event"] for row in rows)
    return {
        "received": names["offer received"],
        "viewed": names["offer viewed"],
        "completed": names["offer completed"],
        "transactions": names["transaction"],
        "amount": sum(amounts, Decimal(0)),
        "entered": sum(entered.values()),
        "entered_people": len(entered),
        "completed_first": in_time,
        "reminded": sum(entered.values()) - in_time,
    }


def assert_agrees(folder: Path) -> Row:
    found = asdict(expected(folder))
    found["amount"] = Decimal(found["amount"])
    told = walk(folder)
    assert {key: found[key] for key in told} == told
    assert found["entered"] == found["reminded"] + found["completed_first"]
    return found


@pytest.mark.parametrize(
    ("events", "entered", "completed_first"),
    [
        ([("received", 6), ("viewed", 6)], 1, 0),
        ([("viewed", 6)], 0, 0),
        ([("viewed", 5), ("received", 6)], 0, 0),
        ([("received", 0), ("viewed", 6), ("completed", 6)], 1, 1),
        ([("received", 0), ("completed", 5), ("viewed", 6)], 0, 0),
        ([("received", 0), ("completed", 0), ("viewed", 6)], 0, 0),
        ([("received", 0), ("viewed", 6), ("completed", 78)], 1, 1),
        ([("received", 0), ("viewed", 6), ("completed", 79)], 1, 0),
        ([("received", 0), ("viewed", 6), ("viewed", 12), ("completed", 80)], 1, 0),
        ([("received", 0), ("viewed", 6), ("received", 9), ("viewed", 12)], 2, 0),
        (
            [("received", 0), ("viewed", 6), ("received", 9), ("viewed", 12), ("completed", 20)],
            2,
            2,
        ),
        ([("received", 0), ("completed", 3), ("received", 6), ("viewed", 6)], 1, 0),
        ([("received", 0), ("viewed", 6), ("completed", 6), ("viewed", 12)], 1, 1),
    ],
)
def test_ties_and_second_receipts_are_counted_as_the_rule_says(
    tmp_path: Path, events: list[tuple[str, int]], entered: int, completed_first: int
) -> None:
    rows = [(kind, f"offer {name}", kind, hour) for kind in "bdi" for name, hour in events]
    write(tmp_path, rows)
    found = assert_agrees(tmp_path)
    assert (found["entered"], found["completed_first"]) == (2 * entered, 2 * completed_first)


def test_random_events_full_of_ties_give_the_same_numbers(tmp_path: Path) -> None:
    random = Random(7)  # noqa: S311
    names = ["offer received", "offer viewed", "offer viewed", "offer completed"]
    events = [
        (f"p{random.randrange(150)}", random.choice(names), random.choice("bdi"), 12 * hour)
        for hour in (random.randrange(14) for _ in range(3000))
    ]
    events += [("p1", "transaction", f"{random.randrange(9999) / 100}", 0) for _ in range(200)]
    write(tmp_path, events)
    found = assert_agrees(tmp_path)
    assert found["profiles"] == 150
    assert min(found["reminded"], found["completed_first"]) > 50


def test_the_generated_programme_has_every_kind_of_outcome(tmp_path: Path) -> None:
    generate(tmp_path, people=300)
    found = assert_agrees(tmp_path)
    assert found["profiles"] == 300
    assert min(found["reminded"], found["completed_first"], found["transactions"]) > 20


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        generate(tmp_path / folder, people=20)
    for name in ("portfolio.json", "profile.json.gz", "transcript.json.gz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    generate(tmp_path / "c", people=20, seed=1)
    assert (tmp_path / "a" / "portfolio.json").read_bytes() != (
        tmp_path / "c" / "portfolio.json"
    ).read_bytes()


@pytest.mark.parametrize(("amounts", "told"), [((1.5, 1.5), "3.00"), ((1.25, 1.25), "2.50")])
def test_the_amount_has_two_decimals_however_round(
    tmp_path: Path, amounts: tuple[float, ...], told: str
) -> None:
    write(tmp_path, [("p", "transaction", str(amount), 0) for amount in amounts])
    assert expected(tmp_path).amount == told
