"""How well foretold probabilities agree with what came. Pure."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

Floats = npt.NDArray[np.float64]

BINS = 10
_Z = float(ndtri(0.9))
"""Of two-sided intervals of 80 %."""


@dataclass(frozen=True, slots=True)
class Bin:
    """People with about the same score: what was foretold of them and the share that did it.

    ``low`` and ``high``: Wilson interval of that share (Wilson 1927), 80 %. ``from_score`` is the
    lowest score of the bin.
    """

    from_score: float
    people: int
    predicted: float
    observed: float
    low: float
    high: float


def bins(scores: Floats, happened: Floats) -> list[Bin]:
    """At most ``BINS`` bins of about as many people each; equal scores are never parted."""
    edges = np.unique(np.quantile(scores, np.arange(BINS) / BINS, method="lower"))
    place = np.searchsorted(edges, scores, side="right") - 1
    found = []
    for index, edge in enumerate(edges):
        inside = place == index
        n, share = int(inside.sum()), float(happened[inside].mean())
        low, high = wilson(share, n)
        found.append(Bin(float(edge), n, float(scores[inside].mean()), share, low, high))
    return found


def intervals(scores: Floats, reliability: list[Bin]) -> tuple[Floats, Floats]:
    """For each score the interval of what was observed among people with about the same."""
    edges = [each.from_score for each in reliability]
    place = np.maximum(np.searchsorted(edges, scores, side="right") - 1, 0)
    low = np.array([each.low for each in reliability])[place]
    high = np.array([each.high for each in reliability])[place]
    return np.minimum(low, scores), np.maximum(high, scores)


def wilson(share: float, n: int) -> tuple[float, float]:
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def brier(scores: Floats, happened: Floats) -> float:
    """Mean squared error of the probabilities (Brier 1950); 0 is perfect."""
    return float(np.mean((scores - happened) ** 2))


def as_json(reliability: list[Bin]) -> list[dict[str, Any]]:
    return [{name: round(value, 4) for name, value in asdict(each).items()} for each in reliability]
