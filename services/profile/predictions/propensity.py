"""How probable it is that people buy, or stay away, in the days to come. Pure.

Split by time: the model learns from what people did in the last horizon but one, is calibrated and
judged by what (other) people did in the last one, and then foretells the next.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from services.profile.predictions import calibration
from services.profile.predictions.frame import (
    NotEnoughData,
    Purchases,
    Result,
    column,
    numbers,
    pick,
    places,
    union,
)

Floats = npt.NDArray[np.float64]
Target = Literal["purchase", "churn"]

MIN_OF_EACH = 30
"""People who did it, and who did not, in each of the two past horizons."""
ISOTONIC_FROM = 1000
"""Below so many of each a curve of two parameters (Platt) is learnt in place of free steps."""
_LONG_AGO = 3650.0
_SEED = 7

FEATURES = (
    *("purchases", "days_since_purchase", "days_since_first_purchase", "days_between_purchases"),
    *("overdue", "total", "mean_value", "events", "active_days", "days_since_event"),
)


@dataclass(frozen=True, slots=True)
class Known:
    """What was known at a day: one row per person. ``ever``: purchases so far."""

    ids: pa.Array
    features: Floats
    ever: Floats


def known(purchases: Purchases, activity: pa.Table, day: int) -> Known:
    """``activity``: events of the horizon before ``day`` (``events``, ``active_days``,
    ``last_day``), people without a purchase among them."""
    seen = column(activity, "profile_id")
    ids = union(purchases.ids, seen)
    at, seen_at = places(ids, purchases.ids), places(ids, seen)
    days = pick(purchases.days, at, 0.0)
    recency = day - pick(purchases.last, at, day - _LONG_AGO)
    age = day - pick(purchases.first, at, float(day))
    total = pick(purchases.total, at, 0.0)
    between = np.where(days > 1, (age - recency) / np.maximum(days - 1, 1), age)
    columns = (
        *(days, recency, age, between, recency / (between + 1)),
        *(np.maximum(total, 0), np.maximum(total, 0) / np.maximum(days, 1)),
        *(pick(numbers(activity, name), seen_at, 0.0) for name in ("events", "active_days")),
        day - pick(numbers(activity, "last_day"), seen_at, day - _LONG_AGO),
    )
    features = np.log1p(np.maximum(np.column_stack(columns), 0)).astype(np.float32)
    return Known(ids, features, days)


def predict(target: Target, past: list[Known]) -> Result:
    """``past``: what was known two horizons ago, one horizon ago and now.

    ``churn`` is about people who have bought before: that they will not within the horizon.
    """
    learning = _examples(target, past[0], past[1])
    judging = _examples(target, past[1], past[2])
    for name, (_, happened) in (("two horizons ago", learning), ("in the last horizon", judging)):
        _check(target, name, happened)
    (features, happened), (later, came) = learning, judging
    # Every second person calibrates and the others judge: nobody is judged by what was learnt.
    first = np.random.default_rng(_SEED).permutation(len(came)) % 2 == 0
    models = [model.fit(features, happened) for model in _candidates()]
    losses = [log_loss(came[first], m.predict_proba(later[first])[:, 1]) for m in models]
    chosen = models[int(np.argmin(losses))]
    raw = chosen.predict_proba(later)[:, 1].astype(np.float64)
    curve, method = _calibrated(raw[first], came[first])
    scores, truth = curve(raw[~first]), came[~first]
    reliability = calibration.bins(scores, truth)
    people = _people(target, past[2])
    foretold = curve(chosen.predict_proba(past[2].features[people])[:, 1].astype(np.float64))
    low, high = calibration.intervals(foretold, reliability)
    metrics = {
        "people": int(people.sum()),
        "model": type(chosen[-1]).__name__,
        "calibration_method": method,
        "base_rate": round(float(truth.mean()), 4),
        "auc": round(float(roc_auc_score(truth, scores)), 4),
        "brier": round(calibration.brier(scores, truth), 4),
        "brier_of_base_rate": round(float(truth.mean() * (1 - truth.mean())), 4),
        "judged_on": len(truth),
        "calibration": calibration.as_json(reliability),
    }
    columns = {"value": foretold, "low": low, "high": high}
    rounded = {name: np.round(values, 3) for name, values in columns.items()}
    return Result(past[2].ids.filter(pa.array(people)), rounded, metrics)


def _people(target: Target, at: Known) -> npt.NDArray[np.bool_]:
    return at.ever > 0 if target == "churn" else np.ones(len(at.ever), dtype=bool)


def _examples(target: Target, then: Known, later: Known) -> tuple[Floats, Floats]:
    """Features, and 1.0 where it happened between the two days."""
    people = _people(target, then)
    bought = pick(later.ever, places(then.ids, later.ids), 0.0) > then.ever
    happened = ~bought if target == "churn" else bought
    return then.features[people], happened[people].astype(np.float64)


def _check(target: Target, when: str, happened: Floats) -> None:
    did = int(happened.sum())
    if min(did, len(happened) - did) < MIN_OF_EACH:
        verb = "stayed away" if target == "churn" else "bought"
        raise NotEnoughData(
            f"Of {len(happened)} people known {when}, {did} {verb} in the horizon that followed; "
            f"{MIN_OF_EACH} who did and {MIN_OF_EACH} who did not are needed."
        )


def _candidates() -> list[Any]:
    return [
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        make_pipeline(HistGradientBoostingClassifier(max_iter=100, random_state=_SEED)),
    ]


def _calibrated(raw: Floats, happened: Floats) -> tuple[Any, Literal["isotonic", "platt"]]:
    """A curve from raw scores to probabilities (Zadrozny, Elkan 2002; Platt 1999)."""
    did = happened.sum()
    if min(did, len(happened) - did) >= ISOTONIC_FROM:
        isotonic = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(raw, happened)
        return isotonic.predict, "isotonic"
    platt = LogisticRegression(C=1e6).fit(_logit(raw), happened)
    return lambda scores: platt.predict_proba(_logit(scores))[:, 1], "platt"


def _logit(scores: Floats) -> Floats:
    clipped = np.clip(scores, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(clipped / (1 - clipped))).reshape(-1, 1)
