"""Customer lifetime value of the next days: BG/NBD purchases times Gamma-Gamma spend. Pure."""

from typing import Any

import numpy as np
import numpy.typing as npt

from services.profile.predictions import bgnbd, gamma_gamma
from services.profile.predictions.bgnbd import BgNbd
from services.profile.predictions.frame import NotEnoughData, Purchases, Result, pick, places
from services.profile.predictions.gamma_gamma import GammaGamma

Floats = npt.NDArray[np.float64]

MIN_REPEAT_CUSTOMERS = 50
DRAWS = 100
LOWER, UPPER = 0.1, 0.9
"""The interval holds what a customer will really spend four times out of five."""
_CHUNK = 20_000
_SEED = 20050201


def predict(now: Purchases, before: Purchases, as_of_day: int, horizon: int) -> Result:
    """Money of the ``horizon`` days after ``as_of_day``, per customer.

    ``before``: the purchases up to a horizon earlier. The model fitted to them alone is compared
    with what then happened; the predictions come from a model of all purchases.
    """
    purchases = fit_purchases(now, as_of_day)
    spend = fit_spend(now)
    x, t_x, age = _times(now, as_of_day)
    expected = bgnbd.expected_purchases(purchases, x, t_x, age, horizon)
    each = _spend(spend, now)
    low, high = intervals(purchases, spend, now, as_of_day, horizon)
    columns = {
        "value": np.round(expected * each, 2),
        "low": np.round(low, 2),
        "high": np.round(high, 2),
        "purchases": np.round(expected, 3),
        "alive": np.round(bgnbd.probability_alive(purchases, x, t_x, age), 3),
    }
    metrics = {
        "customers": len(x),
        "repeat_customers": int((x > 0).sum()),
        "interval": UPPER - LOWER,
        "bgnbd": _parameters(purchases),
        "gamma_gamma": _parameters(spend),
        "spend_frequency_correlation": _correlation(now),
        "holdout": holdout(now, before, as_of_day - horizon, horizon),
    }
    return Result(now.ids, columns, metrics)


def fit_purchases(customers: Purchases, as_of_day: int) -> BgNbd:
    x, t_x, age = _times(customers, as_of_day)
    repeaters = int((x > 0).sum())
    if repeaters < MIN_REPEAT_CUSTOMERS:
        raise NotEnoughData(
            f"{repeaters} customers bought on more than one day; {MIN_REPEAT_CUSTOMERS} are needed."
        )
    return bgnbd.fit(x, t_x, age)


def fit_spend(customers: Purchases) -> GammaGamma:
    paying = (customers.repeats > 0) & (customers.repeat_mean > 0)
    if int(paying.sum()) < MIN_REPEAT_CUSTOMERS:
        raise NotEnoughData(
            f"{int(paying.sum())} customers have repeat purchases of a value above 0; "
            f"{MIN_REPEAT_CUSTOMERS} are needed. Does the value property hold numbers?"
        )
    return gamma_gamma.fit(customers.repeats[paying], customers.repeat_mean[paying])


def intervals(
    purchases: BgNbd, spend: GammaGamma, customers: Purchases, as_of_day: int, horizon: float
) -> tuple[Floats, Floats]:
    """Lower and upper end of the interval of each customer's own future spend.

    Drawn from the joint posterior: a customer is alive with P(alive); then λ ~ Gamma(r+x, α+T),
    p ~ Beta(a, b+x) and the purchases are the smaller of Poisson(λ·t) and Geometric(p); each costs
    Gamma(p, ν) with ν ~ Gamma(p·x+q, v+x·m̄).
    """
    random = np.random.default_rng(_SEED)
    ends = np.zeros((2, len(customers.days)))
    for start in range(0, len(customers.days), _CHUNK):
        part = slice(start, start + _CHUNK)
        drawn = draw(random, purchases, spend, _slice(customers, part), as_of_day, horizon, DRAWS)
        ends[:, part] = np.quantile(drawn, [LOWER, UPPER], axis=0)
    return ends[0], ends[1]


def draw(
    random: np.random.Generator,
    purchases: BgNbd,
    spend: GammaGamma,
    customers: Purchases,
    as_of_day: int,
    horizon: float,
    draws: int,
) -> Floats:
    """Future spend: (``draws``, customers)."""
    x, t_x, age = _times(customers, as_of_day)
    shape = (draws, len(x))
    alive = random.random(shape) < bgnbd.probability_alive(purchases, x, t_x, age)
    rate = random.gamma(purchases.r + x, 1 / (purchases.alpha + age), shape)
    dropout = np.maximum(random.beta(purchases.a, purchases.b + x, shape), 1e-12)
    count = np.minimum(random.poisson(rate * horizon), random.geometric(dropout)) * alive
    paid = np.where(customers.repeat_mean > 0, x, 0)
    scale = random.gamma(
        spend.p * paid + spend.q, 1 / (spend.v + paid * customers.repeat_mean), shape
    )
    return np.where(count > 0, random.gamma(np.maximum(spend.p * count, 1e-12)) / scale, 0.0)


def holdout(now: Purchases, before: Purchases, cut_day: int, horizon: int) -> dict[str, Any] | None:
    """Purchases foretold from what was known at the cut, and those that came, by frequency then.

    None where too little was known at the cut.
    """
    try:
        model = fit_purchases(before, cut_day)
    except NotEnoughData:
        return None
    x, t_x, age = _times(before, cut_day)
    foretold = bgnbd.expected_purchases(model, x, t_x, age, horizon)
    came = pick(now.days, places(before.ids, now.ids), 0.0) - before.days
    groups = np.minimum(x, 7)
    bins = [
        {
            "group": f"{k}" if k < 7 else "7+",
            "people": int((groups == k).sum()),
            "predicted": round(float(foretold[groups == k].mean()), 4),
            "observed": round(float(came[groups == k].mean()), 4),
        }
        for k in range(8)
        if (groups == k).any()
    ]
    return {
        "predicted_purchases": round(float(foretold.sum()), 1),
        "observed_purchases": int(came.sum()),
        "mean_absolute_error": round(float(np.abs(foretold - came).mean()), 4),
        "calibration": bins,
    }


def _times(customers: Purchases, as_of_day: int) -> tuple[Floats, Floats, Floats]:
    return customers.repeats, customers.last - customers.first, as_of_day - customers.first


def _spend(model: GammaGamma, customers: Purchases) -> Floats:
    """Where everybody's expected spend is infinite (q ≤ 1), their observed mean stands for it."""
    known = np.where(customers.repeat_mean > 0, customers.repeats, 0)
    expected = gamma_gamma.expected_spend(model, known, customers.repeat_mean)
    return np.where(np.isnan(expected), customers.total.sum() / customers.days.sum(), expected)


def _correlation(customers: Purchases) -> float | None:
    """Of frequency and mean spend among repeat customers: the model takes it to be near 0."""
    repeated = customers.repeats > 0
    x, mean = customers.repeats[repeated], customers.repeat_mean[repeated]
    if x.std() == 0 or mean.std() == 0:
        return None
    return round(float(np.corrcoef(x, mean)[0, 1]), 4)


def _parameters(model: BgNbd | GammaGamma) -> dict[str, float]:
    return {name: float(getattr(model, name)) for name in model.__slots__}


def _slice(customers: Purchases, part: slice) -> Purchases:
    return Purchases(*(getattr(customers, name)[part] for name in Purchases.__slots__))
