"""Propensities: that they are calibrated, tell people apart, and say when they cannot."""

import numpy as np
import pyarrow as pa
import pytest

from services.profile.predictions import calibration, propensity
from services.profile.predictions.frame import NotEnoughData, Purchases
from services.profile.predictions.propensity import Known

HORIZON = 30
DAYS = (340, 370, 400)


def shop(count: int, seed: int) -> list[Known]:
    """People with a rate of their own who are lost at some day; what was known at three days."""
    random = np.random.default_rng(seed)
    rate = random.gamma(0.6, 0.06, count)
    lost = random.integers(100, 700, count)
    bought = random.random((count, 400)) < rate[:, None]
    bought &= np.arange(400) < lost[:, None]
    ids = np.array([f"p{i}" for i in range(count)])
    return [_known(ids, bought[:, :day], day) for day in DAYS]


def _known(ids: np.ndarray, bought: np.ndarray, day: int) -> Known:
    ever = bought.any(axis=1)
    bought = bought[ever]
    n = bought.sum(axis=1).astype(float)
    purchases = Purchases(
        pa.array(ids[ever].tolist(), pa.string()),
        n,
        bought.argmax(axis=1).astype(float),
        (day - 1 - bought[:, ::-1].argmax(axis=1)).astype(float),
        20 * n,
        np.full(len(n), 20.0),
    )
    recent = bought[:, -HORIZON:]
    activity = pa.table(
        {
            "profile_id": purchases.ids,
            "events": recent.sum(axis=1).astype(float),
            "active_days": recent.sum(axis=1).astype(float),
            "last_day": purchases.last,
        }
    )
    return propensity.known(purchases, activity, day)


@pytest.mark.parametrize("target", ["purchase", "churn"])
def test_what_is_foretold_with_some_probability_comes_about_so_often(
    target: propensity.Target,
) -> None:
    result = propensity.predict(target, shop(6_000, seed=1))
    metrics = result.metrics
    assert metrics["auc"] > 0.75
    assert metrics["brier"] < 0.9 * metrics["brier_of_base_rate"]
    assert sum(each["people"] for each in metrics["calibration"]) == metrics["judged_on"]
    inside = [b["low"] - 0.02 <= b["predicted"] <= b["high"] + 0.02 for b in metrics["calibration"]]
    assert np.mean(inside) >= 0.7
    for each in metrics["calibration"]:
        assert each["predicted"] == pytest.approx(each["observed"], abs=0.08)
    value, low, high = (result.columns[name] for name in ("value", "low", "high"))
    assert ((low <= value) & (value <= high)).all()
    assert ((value >= 0) & (value <= 1)).all()
    # And of the days to come, which no part of it has seen: as many as were foretold.
    assert value.mean() == pytest.approx(metrics["base_rate"], abs=0.08)


def test_staying_away_is_the_opposite_of_buying_for_customers() -> None:
    past = shop(4_000, seed=2)
    buys, leaves = (propensity.predict(t, past) for t in ("purchase", "churn"))
    assert buys.ids.equals(leaves.ids)
    assert buys.columns["value"] + leaves.columns["value"] == pytest.approx(1, abs=0.15)


def test_small_workspaces_get_platt_and_smaller_ones_a_reason() -> None:
    assert propensity.predict("purchase", shop(800, 3)).metrics["calibration_method"] == "platt"
    with pytest.raises(NotEnoughData, match="30 who did and 30 who did not are needed"):
        propensity.predict("purchase", shop(60, 4))


def test_bins_never_part_equal_scores_and_hold_everybody_once() -> None:
    scores = np.repeat([0.1, 0.2, 0.9], [50, 15, 35])
    happened = (np.arange(100) % 10 == 0).astype(float)
    found = calibration.bins(scores, happened)
    assert [(b.from_score, b.people) for b in found] == [(0.1, 50), (0.2, 15), (0.9, 35)]
    assert [round(b.observed, 3) for b in found] == [0.1, 0.133, 0.086]
    # Wilson's interval of 5 in 50 at z = 1.2816.
    assert (found[0].low, found[0].high) == pytest.approx((0.0577, 0.1677), abs=1e-4)
