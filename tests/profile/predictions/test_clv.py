"""BG/NBD and Gamma-Gamma against their papers on CDNOW, and against customers made by the model."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from services.profile.predictions import bgnbd, clv, gamma_gamma
from services.profile.predictions.bgnbd import BgNbd
from services.profile.predictions.frame import NotEnoughData, Purchases
from tests.profile.predictions import cdnow
from tests.profile.predictions.cdnow import HOLDOUT_WEEKS, needs_cdnow

Floats = npt.NDArray[np.float64]

PUBLISHED = BgNbd(0.2425945, 4.4136019, 0.7929199, 2.4258881, 0)
"""Of CDNOW, in weeks."""


def one(value: float) -> Floats:
    return np.array([float(value)])


@needs_cdnow
def test_the_published_parameters_of_cdnow_are_found() -> None:
    data = cdnow.load()
    assert (len(data.x), data.x.sum(), data.holdout.sum()) == (2357, 2457, 1882)
    model = bgnbd.fit(data.x, data.t_x, data.age)
    assert [model.r, model.alpha, model.a, model.b] == pytest.approx(
        [0.243, 4.414, 0.793, 2.426], abs=0.001
    )
    assert model.log_likelihood == pytest.approx(-9582.4, abs=0.05)
    assert bgnbd.expected_of_new(model, 52) == pytest.approx(1.444, abs=0.0005)
    # The holdout of the paper, by purchases in the calibration: 0, 1 … 7 and more.
    expected = bgnbd.expected_purchases(model, data.x, data.t_x, data.age, HOLDOUT_WEEKS)
    groups = np.minimum(data.x, 7)
    assert [expected[groups == k].mean() for k in range(8)] == pytest.approx(
        [0.2251, 0.5231, 1.0441, 1.5203, 2.1638, 2.6538, 3.5040, 6.1570], abs=0.0005
    )


@needs_cdnow
def test_the_published_spend_of_cdnow_is_found() -> None:
    data = cdnow.load()
    bought = data.x > 0
    assert bought.sum() == 946
    model = gamma_gamma.fit(data.x[bought], data.mean[bought])
    assert [model.p, model.q, model.v] == pytest.approx([6.25, 3.74, 15.44], abs=0.01)
    assert model.log_likelihood == pytest.approx(-4055.92, abs=0.01)
    first = gamma_gamma.expected_spend(model, data.x, data.mean)[:10]
    published = [24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17]
    assert list(first) == pytest.approx(published, abs=0.1)


@pytest.mark.parametrize(
    ("x", "t_x", "age", "horizon", "expected"),
    [
        # Fader, Hardie, Lee (2005), and the BTYD vignette of the same data.
        (2, 30.43, 38.86, 39, 1.226),
        (26, 30.857, 31, 52, 25.757),
        (10, 20, 39, 52, 0.3474606),
        (15, 20, 39, 52, 0.04283391),
        (25, 20, 39, 52, 0.0003583685),
    ],
)
def test_published_expectations_of_single_customers(
    x: float, t_x: float, age: float, horizon: float, expected: float
) -> None:
    found = bgnbd.expected_purchases(PUBLISHED, one(x), one(t_x), one(age), horizon)
    assert found[0] == pytest.approx(expected, rel=0.001)


@pytest.mark.parametrize(
    ("time", "expected"),
    [(0.1429, 0.0078), (1, 0.0532), (3, 0.1506), (31.8571, 1.0405), (78, 1.8576)],
)
def test_published_expectations_of_a_new_customer(time: float, expected: float) -> None:
    assert bgnbd.expected_of_new(PUBLISHED, time) == pytest.approx(expected, abs=0.0005)


def test_frequent_buyers_of_many_years_stay_finite() -> None:
    x, age = np.array([0.0, 1, 500, 5000, 5000]), np.full(5, 20_000.0)
    last = np.array([0, 20_000.0, 20_000, 20_000, 3_000])
    expected = bgnbd.expected_purchases(PUBLISHED, x, last, age, 365)
    assert np.isfinite(expected).all()
    assert expected[3] > expected[2] > expected[1] > 0
    assert expected[4] == pytest.approx(0, abs=1e-9)
    assert bgnbd.probability_alive(PUBLISHED, x, last, age)[[0, 4]] == pytest.approx([1, 0])


@pytest.mark.parametrize("a", [0.01, 3.0, 400.0])
@pytest.mark.parametrize("r", [0.3, 400.0])
@pytest.mark.parametrize(("x", "horizon"), [(0, 30), (30, 10), (600, 5), (600, 300)])
def test_expectations_hold_for_parameters_of_any_size(
    a: float, r: float, x: int, horizon: float
) -> None:
    """Against people drawn from the posterior."""
    model = BgNbd(r, 20.0, a, 100.0, 0)
    random = np.random.default_rng(9)
    rate = random.gamma(r + x, 1 / (20 + 20), 200_000)
    dropout = np.maximum(random.beta(a, 100 + x, 200_000), 1e-12)
    count = np.minimum(random.poisson(rate * horizon), random.geometric(dropout))
    alive = bgnbd.probability_alive(model, one(x), one(19), one(20))[0]
    found = bgnbd.expected_purchases(model, one(x), one(19), one(20), horizon)[0]
    assert found == pytest.approx(alive * count.mean(), rel=0.02)


def test_a_of_exactly_one_is_no_special_case() -> None:
    around = [
        bgnbd.expected_purchases(BgNbd(0.3, 4.0, a, 2.4, 0), one(3), one(20), one(30), 10)[0]
        for a in (0.999, 1.0, 1.001)
    ]
    assert around[1] == pytest.approx((around[0] + around[2]) / 2, rel=1e-4)


History = tuple[Floats, Floats]
"""Days of a customer's purchases, the first one first, and their values."""


def histories(count: int, seed: int, days: int = 490) -> list[History]:
    """Made by the models themselves: r 0.8, α 30, a 0.9, b 4 by days; p 6, q 4, v 60."""
    random = np.random.default_rng(seed)
    made = []
    for first in random.integers(0, 200, count):
        rate, dropout = random.gamma(0.8, 1 / 30), random.beta(0.9, 4)
        times = [float(first)]
        while times[-1] < days and (len(times) == 1 or random.random() > dropout):
            times.append(times[-1] + random.exponential(1 / rate))
        kept = np.array([time for time in times if time < days])
        made.append((kept, random.gamma(6, 1, len(kept)) / random.gamma(4, 1 / 60)))
    return made


def known(made: list[History], day: float) -> Purchases:
    """What was known of them at a day."""
    rows = [(t[t <= day], v[t <= day]) for t, v in made]
    columns = np.array([(len(t), t[0], t[-1], v.sum(), v[0]) for t, v in rows]).T
    return Purchases(pa.array([f"p{i}" for i in range(len(made))], pa.string()), *columns)


def customers(count: int, seed: int) -> Purchases:
    return known(histories(count, seed), 400)


def test_parameters_that_made_customers_are_found_again() -> None:
    made = customers(6000, seed=1)
    model = clv.fit_purchases(made, 400)
    assert [model.r, model.alpha, model.a, model.b] == pytest.approx([0.8, 30, 0.9, 4], rel=0.25)
    spend = clv.fit_spend(made)
    assert [spend.p, spend.q, spend.v] == pytest.approx([6, 4, 60], rel=0.25)
    truth = BgNbd(0.8, 30, 0.9, 4, 0)
    x, t_x, age = made.repeats, made.last - made.first, 400 - made.first
    assert model.log_likelihood >= bgnbd.log_likelihood(truth, x, t_x, age)


def test_the_gradients_are_those_of_the_likelihoods() -> None:
    made = customers(200, seed=2)
    x, t_x, age = made.repeats, made.last - made.first, 400 - made.first
    ones, at = np.ones(len(x)), np.array([0.7, 25.0, 1.1, 3.0])
    _, gradient = bgnbd._likelihood(at, x, t_x, age, ones)
    for i, slope in enumerate(gradient):
        step = np.eye(4)[i] * 1e-5
        up, down = (bgnbd._likelihood(at + s, x, t_x, age, ones)[0] for s in (step, -step))
        assert (up - down) / 2e-5 == pytest.approx(slope, rel=1e-4, abs=1e-4)


def test_draws_agree_with_the_formulas() -> None:
    """Two ways to the same mean: neither shares a line with the other."""
    made = customers(300, seed=3)
    model, spend = clv.fit_purchases(made, 400), clv.fit_spend(made)
    drawn = clv.draw(np.random.default_rng(4), model, spend, made, 400, 90, 2000)
    x, t_x, age = made.repeats, made.last - made.first, 400 - made.first
    formula = bgnbd.expected_purchases(model, x, t_x, age, 90) * gamma_gamma.expected_spend(
        spend, x, made.repeat_mean
    )
    assert drawn.mean() == pytest.approx(formula.mean(), rel=0.03)
    large = formula > np.median(formula)
    assert drawn[:, large].mean(axis=0) == pytest.approx(formula[large], rel=0.5)


def test_four_of_five_customers_spend_within_their_interval() -> None:
    made = histories(3000, seed=6)
    result = clv.predict(known(made, 400), known(made, 310), 400, 90)
    spent = known(made, 490).total - known(made, 400).total
    low, high = result.columns["low"] - 0.01, result.columns["high"] + 0.01
    # Most spend nothing, which is an end of their interval: more than four of five are inside.
    assert 0.8 <= ((spent >= low) & (spent <= high)).mean() <= 0.97
    assert (spent > high).mean() == pytest.approx(0.1, abs=0.025)
    assert result.columns["value"].sum() == pytest.approx(spent.sum(), rel=0.1)


def test_the_holdout_is_foretold_from_what_was_known_before() -> None:
    made = histories(3000, seed=7)
    now, before = known(made, 400), known(made, 310)
    told = clv.holdout(now, before, 310, 90)
    assert told is not None
    assert told["observed_purchases"] == now.days.sum() - before.days.sum()
    assert told["predicted_purchases"] == pytest.approx(told["observed_purchases"], rel=0.1)
    assert sum(each["people"] for each in told["calibration"]) == 3000
    for each in told["calibration"]:
        assert each["predicted"] == pytest.approx(each["observed"], rel=0.35, abs=0.1)


def test_too_few_repeat_buyers_say_so() -> None:
    few = customers(20, seed=8)
    with pytest.raises(NotEnoughData, match="50 are needed"):
        clv.predict(few, few, 400, 30)
