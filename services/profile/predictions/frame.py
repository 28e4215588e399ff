"""What tracking tells of many people's behaviour, as arrays with one entry per person. Pure."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]


class NotEnoughData(ValueError):
    """There are too few people or events to say anything; the text says of which and how many."""


@dataclass(frozen=True, slots=True)
class Purchases:
    """Of people with at least one purchase. Purchases of one day are one; days count from 1970."""

    ids: pa.Array
    days: Floats
    """How many days had a purchase."""
    first: Floats
    last: Floats
    total: Floats
    """Money of all purchases; of the first day alone in ``first_value``."""
    first_value: Floats

    @classmethod
    def of(cls, table: pa.Table) -> "Purchases":
        names = ("days", "first_day", "last_day", "total", "first_value")
        return cls(column(table, "profile_id"), *(numbers(table, name) for name in names))

    @property
    def repeats(self) -> Floats:
        return self.days - 1

    @property
    def repeat_mean(self) -> Floats:
        """Mean value of the purchases after the first, 0 without any."""
        return (self.total - self.first_value) / np.maximum(self.repeats, 1)


@dataclass(frozen=True, slots=True)
class Result:
    """What a computation says. ``columns``: one value per id; the one named ``value`` is the
    prediction itself. NaN and None stand for nothing said."""

    ids: pa.Array
    columns: dict[str, Any]
    metrics: dict[str, Any] = field(default_factory=dict)


def column(table: pa.Table, name: str) -> pa.Array:
    return table.column(name).combine_chunks()


def numbers(table: pa.Table, name: str) -> Floats:
    return np.asarray(table.column(name).to_numpy(), dtype=np.float64)


def union(*ids: pa.Array) -> pa.Array:
    """Each id once, in order of first appearance."""
    return pc.unique(pa.chunked_array(ids, pa.string()))


def places(wanted: pa.Array, ids: pa.Array) -> npt.NDArray[np.int64]:
    """Where each wanted id stands in ``ids``; -1 where it does not."""
    found = pc.fill_null(pc.index_in(wanted, value_set=ids), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int64)


def pick(values: Floats, at: npt.NDArray[np.int64], default: float) -> Floats:
    """Values at ``places``, ``default`` where there is none."""
    if not len(values):
        return np.full(len(at), default)
    return np.where(at >= 0, values[np.maximum(at, 0)], default)
