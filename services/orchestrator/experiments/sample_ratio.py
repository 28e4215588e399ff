"""Whether people were divided as planned; where not, no lift is to be believed. Pure.

Source: Fabijan and others, Diagnosing Sample Ratio Mismatch in Online Controlled Experiments, KDD
2019: a chi-square test, alarm below 0.0005.
"""

from collections.abc import Sequence

from scipy.special import chdtrc

ALARM_BELOW = 0.0005
LEAST_EXPECTED = 5.0
"""With fewer people expected in a variant the chi-square distribution does not describe the test
(Cochran 1954)."""


def p_value(counts: Sequence[int], weights: Sequence[float]) -> float | None:
    """How likely chance alone divides people so unevenly; None before that can be said."""
    people, whole = sum(counts), sum(weights)
    expected = [people * weight / whole for weight in weights]
    if any(count and not weight for count, weight in zip(counts, weights, strict=True)):
        return 0.0
    pairs = [(n, e) for n, e in zip(counts, expected, strict=True) if e > 0]
    if len(pairs) < 2 or min(e for _, e in pairs) < LEAST_EXPECTED:
        return None
    distance = sum((n - e) ** 2 / e for n, e in pairs)
    return float(chdtrc(len(pairs) - 1, distance))
