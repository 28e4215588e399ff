"""Purchases of the CDNOW sample, as Fader and Hardie's papers read them."""

import os
from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

CDNOW_DATA = os.environ.get("CDNOW_DATA", "")  # noqa: TID251 - of the tests only
needs_cdnow = pytest.mark.skipif(
    not CDNOW_DATA, reason="CDNOW_DATA names no directory with CDNOW_sample.txt"
)
FIRST_DAY, LAST_DAY = date(1997, 1, 1), date(1997, 9, 30)
HOLDOUT_WEEKS = 39.0

Floats = npt.NDArray[np.float64]


@dataclass
class Cdnow:
    """One entry per customer, in the order of the file; times in weeks."""

    x: Floats
    t_x: Floats
    age: Floats
    mean: Floats
    """Of the repeat purchases; 0 without any."""
    holdout: Floats
    """Purchases in the 39 weeks after."""


def load() -> Cdnow:
    """Purchases of one day count as one."""
    spent: dict[str, dict[date, float]] = defaultdict(lambda: defaultdict(float))
    for line in (Path(CDNOW_DATA) / "CDNOW_sample.txt").read_text().splitlines():
        customer, _, day, _, value = line.split()
        spent[customer][date.fromisoformat(day)] += float(value)
    rows = []
    for by_day in spent.values():
        first, *repeats = sorted(day for day in by_day if day <= LAST_DAY)
        last = repeats[-1] if repeats else first
        values = [by_day[day] for day in repeats]
        rows.append(
            (
                len(repeats),
                (last - first).days / 7,
                (LAST_DAY - first).days / 7,
                sum(values) / max(len(values), 1),
                sum(day > LAST_DAY for day in by_day),
            )
        )
    return Cdnow(*np.array(rows, dtype=float).T)
