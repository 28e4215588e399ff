"""Gamma-Gamma: what customers spend per purchase. Pure.

Fader, Hardie (2013), "The Gamma-Gamma Model of Monetary Value", brucehardie.com/notes/025. A
customer's purchases are Gamma(p, ν) with ν ~ Gamma(q, v) (γ in the note), independent of how often
the customer buys; arrays have one entry per customer: ``x`` purchases whose mean value is ``mean``.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import gammaln, psi

Floats = npt.NDArray[np.float64]

_LOG_BOUND = 12.0


@dataclass(frozen=True, slots=True)
class GammaGamma:
    """``v`` is in the unit of money of what was fitted."""

    p: float
    q: float
    v: float
    log_likelihood: float


def fit(x: Floats, mean: Floats) -> GammaGamma:
    """Parameters of largest likelihood; customers without purchases or value must be left out."""
    scale = float(np.average(mean, weights=x))

    def loss(logs: Floats) -> tuple[float, Floats]:
        parameters = np.exp(logs)
        value, gradient = _likelihood(parameters, x, mean / scale)
        return -value / len(x), -gradient * parameters / len(x)

    bounds = [(-_LOG_BOUND, _LOG_BOUND)] * 3
    start = np.log([2.0, 3.0, 1.0])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, tol=1e-14)
    p, q, v = map(float, np.exp(found.x))
    parameters = np.array([p, q, v * scale])
    return GammaGamma(p, q, v * scale, _likelihood(parameters, x, mean)[0])


def _likelihood(parameters: Floats, x: Floats, mean: Floats) -> tuple[float, Floats]:
    """Sum of the logarithms of eq. 1a of the note, and its gradient by (p, q, v)."""
    p, q, v = parameters
    total = np.log(x * mean + v)
    value = (
        gammaln(p * x + q)
        - gammaln(p * x)
        - gammaln(q)
        + q * np.log(v)
        + (p * x - 1) * np.log(mean)
        + p * x * np.log(x)
        - (p * x + q) * total
    )
    gradient = (
        x * (psi(p * x + q) - psi(p * x) + np.log(mean) + np.log(x) - total),
        psi(p * x + q) - psi(q) + np.log(v) - total,
        q / v - (p * x + q) / (x * mean + v),
    )
    return float(value.sum()), np.array([part.sum() for part in gradient])


def expected_spend(model: GammaGamma, x: Floats, mean: Floats) -> Floats:
    """E[M | x, m̄] per purchase (eq. 5): between the customer's own mean and everybody's.

    Without purchases it is everybody's; where that is infinite (p·x + q ≤ 1), it is NaN.
    """
    known = x > 0
    weight = model.p * x + model.q - 1
    spend = model.p * (model.v + x * np.where(known, mean, 0.0)) / np.where(weight > 0, weight, 1.0)
    return np.where(weight > 0, spend, np.nan)
