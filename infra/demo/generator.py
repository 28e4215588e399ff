"""Write a small rewards programme of our own, in the shape of the published one.

Everything is invented and follows from the seed: the same seed writes the same bytes.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

_WAVES = (0, 168, 336, 408, 504, 576)
_LAST_HOUR = 714
_STEP_HOURS = 6
_UNKNOWN_AGE = 118
# type, difficulty, reward, days, channels
_OFFERS: tuple[tuple[str, int, int, float, tuple[str, ...]], ...] = (
    ("bogo", 10, 10, 7.0, ("email", "mobile", "social")),
    ("bogo", 10, 10, 5.0, ("web", "email", "mobile", "social")),
    ("bogo", 5, 5, 7.0, ("web", "email", "mobile")),
    ("bogo", 5, 5, 5.0, ("web", "email", "mobile", "social")),
    ("discount", 20, 5, 10.0, ("web", "email")),
    ("discount", 7, 3, 7.0, ("web", "email", "mobile", "social")),
    ("discount", 10, 2, 10.0, ("web", "email", "mobile", "social")),
    ("discount", 10, 2, 7.0, ("web", "email", "mobile")),
    ("informational", 0, 0, 4.0, ("web", "email", "mobile")),
    ("informational", 0, 0, 3.0, ("email", "mobile", "social")),
)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Offer:
    id: str
    difficulty: int
    reward: int
    hours: int
    reach: float


def generate(folder: Path, people: int = 1000, seed: int = 20180101) -> None:
    """Write portfolio.json, profile.json.gz and transcript.json.gz into `folder`."""
    random = Random(seed)  # noqa: S311 - invented data, not a secret
    folder.mkdir(parents=True, exist_ok=True)
    portfolio = [_portfolio_row(random, *offer) for offer in _OFFERS]
    offers = [_offer(row) for row in portfolio]
    profiles = [_profile(random) for _ in range(people)]
    events: list[Row] = []
    for profile in profiles:
        events += _life(random, profile["id"], offers)
    # The sort is stable: within an hour a person's events keep the order they happened in.
    events.sort(key=lambda row: int(row["time"]))
    _write(folder / "portfolio.json", portfolio)
    _write(folder / "profile.json.gz", profiles)
    _write(folder / "transcript.json.gz", events)


def _write(path: Path, rows: Iterable[Row]) -> None:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def _id(random: Random) -> str:
    return f"{random.getrandbits(128):032x}"


def _portfolio_row(
    random: Random, kind: str, difficulty: int, reward: int, days: float, channels: tuple[str, ...]
) -> Row:
    return {
        "reward": reward,
        "channels": list(channels),
        "difficulty": difficulty,
        "duration": days,
        "offer_type": kind,
        "id": _id(random),
    }


def _offer(row: Row) -> _Offer:
    hours, reach = int(row["duration"] * 24), 0.15 + 0.2 * len(row["channels"])
    return _Offer(row["id"], row["difficulty"], row["reward"], hours, reach)


def _profile(random: Random) -> Row:
    joined = f"{random.randint(2013, 2017)}{random.randint(1, 12):02}{random.randint(1, 28):02}"
    known = random.random() > 0.13
    return {
        "gender": random.choices(["M", "F", "O"], [57, 41, 2])[0] if known else None,
        "age": random.randint(18, 95) if known else _UNKNOWN_AGE,
        "id": _id(random),
        "became_member_on": joined,
        "income": random.randint(30, 120) * 1000 if known else None,
    }


def _life(random: Random, person: str, offers: list[_Offer]) -> list[Row]:
    """What one member receives, sees, buys and completes, hour by hour."""
    received = {wave: random.choice(offers) for wave in _WAVES if random.random() < 0.75}
    views = _views(random, received)
    spends = random.uniform(2, 25)
    buys = {
        random.randrange(0, _LAST_HOUR + 1, _STEP_HOURS): round(random.expovariate(1 / spends), 2)
        for _ in range(random.randint(0, 16))
    }
    events: list[Row] = []
    open_offers: dict[int, float] = {}  # wave → still to be spent
    for hour in range(0, _LAST_HOUR + 1, _STEP_HOURS):
        if hour in received:
            offer = received[hour]
            events.append(_event(person, "offer received", hour, {"offer id": offer.id}))
            if offer.difficulty:
                open_offers[hour] = offer.difficulty
        events += [
            _event(person, "offer viewed", hour, {"offer id": offer.id})
            for offer in views.get(hour, ())
        ]
        if hour in buys:
            amount = max(buys[hour], 0.05)
            events.append(_event(person, "transaction", hour, {"amount": amount}))
            events += _completions(person, hour, amount, received, open_offers)
    return events


def _views(random: Random, received: dict[int, _Offer]) -> dict[int, list[_Offer]]:
    views: dict[int, list[_Offer]] = {}
    for wave, offer in received.items():
        # Some look twice, and some only when the offer is long over.
        for chance in (offer.reach, 0.1):
            hour = wave + _STEP_HOURS * int(random.expovariate(1 / 5))
            if random.random() < chance and hour <= _LAST_HOUR:
                views.setdefault(hour, []).append(offer)
    return views


def _completions(
    person: str, hour: int, amount: float, received: dict[int, _Offer], left: dict[int, float]
) -> list[Row]:
    """A purchase counts towards every open offer, seen or not, as in the published data."""
    events = []
    for wave in list(left):
        offer = received[wave]
        if hour > wave + offer.hours:
            del left[wave]
            continue
        left[wave] -= amount
        if left[wave] <= 0:
            del left[wave]
            value = {"offer_id": offer.id, "reward": offer.reward}
            events.append(_event(person, "offer completed", hour, value))
    return events


def _event(person: str, name: str, hour: int, value: Row) -> Row:
    return {"person": person, "event": name, "value": value, "time": hour}
