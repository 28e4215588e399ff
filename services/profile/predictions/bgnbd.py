"""BG/NBD: how often customers without a contract will buy, and whether they still do. Pure.

Fader, Hardie, Lee (2005), "Counting Your Customers" the Easy Way: An Alternative to the Pareto/NBD
Model, Marketing Science 24(2). Equation numbers are theirs. While active a customer buys at a
rate λ ~ Gamma(r, α) and becomes inactive after any purchase with probability p ~ Beta(a, b).

Arrays have one entry per customer: ``x`` repeat purchases, ``t_x`` time of the last one and ``age``
(their T) time observed, both since the first purchase, in one unit of time throughout.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import gammaln, hyp2f1, psi

from services.profile.predictions.frame import NotEnoughData

Floats = npt.NDArray[np.float64]

STARTS = ((1.0, 1.0, 1.0, 1.0), (0.3, 0.3, 0.7, 3.0), (3.0, 3.0, 1.0, 5.0))
"""(r, α, a, b) with times as multiples of the mean age. The likelihood has one maximum in practice;
starting thrice finds it where one path leads along the flat ridge of large a and b."""
_LOG_BOUND = 6.0
"""Of parameters, times again as multiples of the mean age. Where customers do not differ the
likelihood goes on rising slowly towards infinite parameters, far beyond what changes a forecast."""


@dataclass(frozen=True, slots=True)
class BgNbd:
    """``alpha`` is in the unit of time of what was fitted."""

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float


def fit(x: Floats, t_x: Floats, age: Floats) -> BgNbd:
    """Parameters of largest likelihood. ``NotEnoughData`` where none can be found."""
    scale = float(age.mean())
    rows, counts = np.unique(
        np.column_stack([x, t_x / scale, age / scale]), axis=0, return_counts=True
    )
    unique_x, unique_t_x, unique_age = rows.T.copy()

    def loss(logs: Floats) -> tuple[float, Floats]:
        parameters = np.exp(logs)
        value, gradient = _likelihood(parameters, unique_x, unique_t_x, unique_age, counts)
        return -value / len(x), -gradient * parameters / len(x)

    bounds = [(-_LOG_BOUND, _LOG_BOUND)] * 4
    tried = [
        minimize(loss, np.log(start), jac=True, method="L-BFGS-B", bounds=bounds, tol=1e-14)
        for start in STARTS
    ]
    best = min(tried, key=lambda found: float(found.fun))
    if not np.isfinite(best.fun):
        raise NotEnoughData("No parameters of the BG/NBD model fit these purchases.")
    r, alpha, a, b = map(float, np.exp(best.x))
    model = BgNbd(r, alpha * scale, a, b, 0.0)
    return BgNbd(r, alpha * scale, a, b, log_likelihood(model, x, t_x, age))


def log_likelihood(model: BgNbd, x: Floats, t_x: Floats, age: Floats) -> float:
    """Of all customers together (eq. 6)."""
    parameters = np.array([model.r, model.alpha, model.a, model.b])
    return _likelihood(parameters, x, t_x, age, np.ones(len(x)))[0]


def _likelihood(
    parameters: Floats, x: Floats, t_x: Floats, age: Floats, weights: npt.NDArray[np.generic]
) -> tuple[float, Floats]:
    """Weighted sum of eq. 6 and its gradient by (r, α, a, b), both sums taken in logarithms."""
    r, alpha, a, b = parameters
    repeated = x > 0
    before_last = np.where(repeated, b + x - 1, 1.0)
    common = (
        *(gammaln(r + x) - gammaln(r) + r * np.log(alpha),),
        *(gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x),),
    )
    active = -(r + x) * np.log(alpha + age)
    gone = np.where(
        repeated, np.log(a) - np.log(before_last) - (r + x) * np.log(alpha + t_x), -np.inf
    )
    total = np.logaddexp(active, gone)
    is_gone = np.exp(gone - total)
    is_active = 1 - is_gone
    shared = psi(a + b) - psi(a + b + x)
    gradient = (
        psi(r + x)
        - psi(r)
        + np.log(alpha)
        - is_active * np.log(alpha + age)
        - is_gone * np.log(alpha + t_x),
        r / alpha - (r + x) * (is_active / (alpha + age) + is_gone / (alpha + t_x)),
        shared + is_gone / a,
        shared + psi(b + x) - psi(b) - is_gone / before_last,
    )
    value = float(np.dot(weights, common[0] + common[1] + total))
    return value, np.array([np.dot(weights, part) for part in gradient])


def probability_alive(model: BgNbd, x: Floats, t_x: Floats, age: Floats) -> Floats:
    """That a customer still buys; 1 without repeat purchases by the model's own assumption."""
    repeated = x > 0
    odds = _gone_odds(model, x, t_x, age)
    return np.where(repeated, 1 / (1 + odds), 1.0)


def _gone_odds(model: BgNbd, x: Floats, t_x: Floats, age: Floats) -> Floats:
    repeated = x > 0
    growth = (model.r + x) * np.log((model.alpha + age) / (model.alpha + t_x))
    ratio = model.a / np.where(repeated, model.b + x - 1, 1.0)
    # Beyond the range of a float a customer is gone for sure.
    return np.where(repeated, ratio * np.exp(np.minimum(growth, 700.0)), 0.0)


def expected_purchases(model: BgNbd, x: Floats, t_x: Floats, age: Floats, horizon: float) -> Floats:
    """E[Y(t) | x, t_x, T]: purchases in the ``horizon`` after ``age`` (eq. 10).

    ₂F₁ as it stands in the paper overflows for frequent buyers, (1 − z)^(r+x) ₂F₁(r+x, b+x; c; z);
    by Euler's transformation it is (1 − z)^(a−1) ₂F₁(a+b−1−r, a−1; c; z), c = a+b+x−1, which
    overflows for large a. The one with the smaller exponent is taken.
    """
    r, alpha, b = model.r, model.alpha, model.b
    a = _off_the_pole(model.a)
    c, z = a + b + x - 1, horizon / (alpha + age + horizon)
    direct = r + x < a - 1
    exponent = np.where(direct, r + x, a - 1)
    series = hyp2f1(np.where(direct, r + x, a + b - 1 - r), np.where(direct, b + x, a - 1), c, z)
    numerator = c / (a - 1) * (1 - np.power(1 - z, exponent) * series)
    return np.asarray(numerator / (1 + _gone_odds(model, x, t_x, age)))


def expected_of_new(model: BgNbd, time: float) -> float:
    """E[X(t)]: repeat purchases of a customer of whom nothing else is known (eq. 9)."""
    a = _off_the_pole(model.a)
    z = time / (model.alpha + time)
    series = hyp2f1(model.r, model.b, a + model.b - 1, z)
    return float((a + model.b - 1) / (a - 1) * (1 - (1 - z) ** model.r * series))


def _off_the_pole(a: float) -> float:
    """The formulas have a removable singularity at a = 1."""
    return 1 + 1e-6 if abs(a - 1) < 1e-6 else a
