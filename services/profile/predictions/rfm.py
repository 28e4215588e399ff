"""RFM: how recently, how often and for how much people buy, from 1 to 5 each. Pure.

Scores are quintiles among all buyers (Hughes, Strategic Database Marketing). People with equal
values always have equal scores, whatever order they come in: a score follows from the share of
buyers below a value plus half of those with the same, so that where all are equal all have a 3.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from services.profile.predictions.frame import NotEnoughData, Purchases, Result
from services.profile.predictions.rfm_cells import MATRIX

Floats = npt.NDArray[np.float64]
Scores = npt.NDArray[np.int64]

MIN_CUSTOMERS = 5


TIERS = ("high", "medium", "low")
_TIER_SHARES = (0.2, 0.5)
"""The fifth of the buyers that spent most is high, the next three tenths are medium."""


def quintiles(values: Floats) -> Scores:
    """1 (lowest) to 5 (highest) for each value."""
    return np.minimum(5, (_share_below(values) * 5).astype(np.int64) + 1)


def tiers(money: Floats) -> npt.NDArray[np.int64]:
    """Index into ``TIERS`` for each sum of money."""
    return np.searchsorted(_TIER_SHARES, 1 - _share_below(money), side="right")


def _share_below(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    below = np.cumsum(counts) - counts
    return np.asarray(((below + counts / 2) / len(values))[inverse]).reshape(len(values))


def score(customers: Purchases, as_of_day: int) -> Result:
    """Scores, cell and tier of everybody who ever bought. The value is the cell's key."""
    if len(customers.days) < MIN_CUSTOMERS:
        raise NotEnoughData(
            f"{len(customers.days)} people have bought; {MIN_CUSTOMERS} are needed."
        )
    recency = quintiles(customers.last)
    frequency = quintiles(customers.days)
    money = quintiles(customers.total)
    tier = tiers(customers.total)
    keys = np.array([[cell.key for cell in row] for row in MATRIX])
    columns = {
        "value": keys[recency - 1, frequency - 1],
        "recency": recency,
        "frequency": frequency,
        "monetary": money,
        "tier": np.array(TIERS)[tier],
    }
    metrics = {
        "customers": len(recency),
        "value": round(float(customers.total.sum()), 2),
        "matrix": _matrix(customers, recency, frequency, as_of_day),
        "tiers": _tiers(customers.total, tier),
    }
    return Result(customers.ids, columns, metrics)


def _matrix(
    customers: Purchases, recency: Scores, frequency: Scores, as_of_day: int
) -> list[dict[str, Any]]:
    place = (recency - 1) * 5 + frequency - 1

    def per_cell(values: npt.NDArray[np.generic]) -> Floats:
        return np.bincount(place, values, minlength=25).astype(np.float64)

    people = np.bincount(place, minlength=25)
    value = per_cell(customers.total)
    days_ago = per_cell(as_of_day - customers.last) / np.maximum(people, 1)
    orders = per_cell(customers.days) / np.maximum(people, 1)
    return [
        {
            "recency": r + 1,
            "frequency": f + 1,
            "cell": MATRIX[r][f].key,
            "people": int(people[r * 5 + f]),
            "value": round(float(value[r * 5 + f]), 2),
            "mean_days_since_purchase": _mean(days_ago, people, r * 5 + f),
            "mean_purchases": _mean(orders, people, r * 5 + f),
        }
        for r in range(5)
        for f in range(5)
    ]


def _mean(means: Floats, people: npt.NDArray[np.int64], place: int) -> float | None:
    return round(float(means[place]), 2) if people[place] else None


def _tiers(money: Floats, tier: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
    people = np.bincount(tier, minlength=len(TIERS))
    value = np.bincount(tier, money, minlength=len(TIERS))
    return [
        {
            "tier": name,
            "people": int(people[index]),
            "value": round(float(value[index]), 2),
            "value_share": round(float(value[index] / money.sum()), 4) if money.sum() else None,
        }
        for index, name in enumerate(TIERS)
    ]
