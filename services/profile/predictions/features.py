"""People as rows of numbers for clustering: what is known, done and preferred. Pure."""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from services.profile.predictions.frame import NotEnoughData, Purchases, pick, places

Floats = npt.NDArray[np.float64]

MAX_CATEGORIES = 8
"""Of one trait: the most frequent; all others together are one more."""
NUMERIC_SHARE = 0.9
"""From this share of numbers among its values a trait is one, and what is no number is missing."""
PARTS_OF_DAY = (("night", 0, 6), ("morning", 6, 12), ("afternoon", 12, 18), ("evening", 18, 24))


@dataclass(frozen=True, slots=True)
class Feature:
    """One column. ``values`` as people know them, NaN where unknown (0 or 1 for a category).

    ``source``: ``trait``, ``behaviour`` or ``preference``; ``key``: the trait's path or the name of
    the behaviour; ``category``: the JSON value that a 1 stands for.
    """

    source: str
    key: str
    values: Floats
    category: Any = None
    is_category: bool = False
    skewed: bool = False
    """Counts and money: compared by their logarithms."""


def of_traits(keys: list[str], documents: pa.Table) -> list[Feature]:
    """``documents``: one column per trait, of JSON texts or null, a row per person."""
    found: list[Feature] = []
    for index, key in enumerate(keys):
        coded = documents.column(f"trait_{index}").combine_chunks().dictionary_encode()
        found += _of_trait(key, coded)
    return found


def _of_trait(key: str, coded: pa.DictionaryArray) -> list[Feature]:
    values = [msgspec.json.decode(text) for text in coded.dictionary.to_pylist()]
    place = np.asarray(coded.indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)
    if not values:
        return []
    people = np.bincount(place[place >= 0], minlength=len(values))
    numeric = np.array([isinstance(v, int | float) and not isinstance(v, bool) for v in values])
    if people[numeric].sum() >= NUMERIC_SHARE * people.sum():
        known = [
            float(v) if is_number else np.nan for v, is_number in zip(values, numeric, strict=True)
        ]
        return [Feature("trait", key, pick(np.array(known), place, np.nan))]
    named = [i for i, v in enumerate(values) if isinstance(v, str | bool) and people[i] > 1]
    named = sorted(named, key=lambda i: (-people[i], str(values[i])))[:MAX_CATEGORIES]
    return [
        Feature("trait", key, (place == i).astype(float), values[i], is_category=True)
        for i in named
    ]


def of_purchases(ids: pa.Array, purchases: Purchases, as_of_day: int) -> list[Feature]:
    at = places(ids, purchases.ids)
    spent = np.maximum(purchases.total, 0)
    columns = {
        "purchases": (pick(purchases.days, at, 0.0), True),
        "spend": (pick(spent, at, 0.0), True),
        "mean_value": (pick(spent / np.maximum(purchases.days, 1), at, np.nan), True),
        "days_since_purchase": (pick(as_of_day - purchases.last, at, np.nan), True),
    }
    return [
        Feature("behaviour", key, values, skewed=skewed)
        for key, (values, skewed) in columns.items()
        if np.nanmax(values, initial=0.0) > 0
    ]


def of_hours(ids: pa.Array, hours: pa.Table) -> list[Feature]:
    """Shares of a person's events by part of the day, and at weekends; ``hours`` as for
    ``preferences.send_time``."""
    at = places(hours.column("profile_id").combine_chunks(), ids)
    known = at >= 0
    hour = np.asarray(hours.column("hour").to_numpy(), dtype=np.int64)[known]
    n = np.asarray(hours.column("events").to_numpy(), dtype=np.float64)[known]
    person = at[known]
    total = np.bincount(person, n, minlength=len(ids))

    def share(inside: npt.NDArray[np.bool_]) -> Floats:
        part = np.bincount(person[inside], n[inside], minlength=len(ids))
        return np.where(total > 0, part / np.maximum(total, 1), np.nan)

    found = [
        Feature("preference", f"share_{name}", share((hour % 24 >= start) & (hour % 24 < end)))
        for name, start, end in PARTS_OF_DAY
    ]
    return [*found, Feature("preference", "share_weekend", share(hour >= 120))]


def matrix(features: list[Feature]) -> npt.NDArray[np.float32]:
    """Columns of mean 0 and deviation 1; the unknown at the mean. A trait with many categories
    weighs as much as a number, since its columns share one weight."""
    widths: dict[tuple[str, str], int] = {}
    for each in features:
        widths[each.source, each.key] = widths.get((each.source, each.key), 0) + 1
    columns = []
    for each in features:
        values = np.log1p(np.maximum(each.values, 0)) if each.skewed else each.values
        if np.isnan(values).all() or (deviation := float(np.nanstd(values))) < 1e-9:
            continue
        scaled = np.nan_to_num((values - np.nanmean(values)) / deviation)
        columns.append((scaled / np.sqrt(widths[each.source, each.key])).astype(np.float32))
    if not columns:
        raise NotEnoughData("The chosen features are the same for everybody.")
    return np.column_stack(columns)
