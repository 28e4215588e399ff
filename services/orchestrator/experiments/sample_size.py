"""How many people an experiment needs in each variant to find an effect worth finding. Pure."""

from collections.abc import Callable
from math import ceil, sqrt

from scipy.special import ndtri
from scipy.stats import nct
from scipy.stats import t as student

from services.orchestrator.experiments.sequential import Tuning, half_width

LARGEST = 1 << 40
"""No experiment has more people; whatever would need them is answered with None."""


def for_proportions(base: float, effect: float, *, alpha: float, power: float) -> int | None:
    """People per variant, looked at once, two-sided: ``base`` against ``base + effect``.

    Source: Fleiss, Levin, Paik, Statistical Methods for Rates and Proportions (3rd ed. 2003), eq.
    4.14, without continuity correction; the same as R's ``power.prop.test``.
    """
    other = base + effect
    middle = (base + other) / 2
    chance = ndtri(1 - alpha / 2) * sqrt(2 * middle * (1 - middle))
    found = ndtri(power) * sqrt(base * (1 - base) + other * (1 - other))
    people = ((chance + found) / effect) ** 2
    return ceil(people) if people < LARGEST else None


def for_means(deviation: float, effect: float, *, alpha: float, power: float) -> int | None:
    """People per variant, looked at once, for two means of one standard deviation, two-sided.

    By the noncentral t distribution: Cohen, Statistical Power Analysis (2nd ed. 1988), ch. 2; the
    same as R's ``power.t.test``.
    """
    standardised = abs(effect) / deviation

    def enough(people: int) -> bool:
        freedom = 2 * people - 2
        critical = student.ppf(1 - alpha / 2, freedom)
        return bool(nct.sf(critical, freedom, standardised * sqrt(people / 2)) >= power)

    # Beyond this the noncentral t cannot be told from the normal, and scipy's gets slow.
    normal = 2 * ((ndtri(1 - alpha / 2) + ndtri(power)) / standardised) ** 2
    if normal > 10_000:
        return ceil(normal) if normal < LARGEST else None
    return _least(enough, 2)


def sequential(
    variance: float, other_variance: float, effect: float, *, alpha: float, power: float
) -> int | None:
    """People per variant after which a test looked at all the time (see ``sequential``) has found
    the effect with this power; most end earlier.

    Found where ``effect`` is as large as half the interval and ``power``'s quantile of the
    estimate's standard error together.
    """

    def enough(people: int) -> bool:
        spread = (variance + other_variance) / people
        width = half_width(spread, 2 * people, Tuning(alpha, 2 * people))
        return width + float(ndtri(power)) * sqrt(spread) <= abs(effect)

    return _least(enough, 2)


def _least(enough: Callable[[int], bool], start: int) -> int | None:
    """The least number from ``start`` on that is enough, by doubling and halving."""
    high = start
    while not enough(high):
        high *= 2
        if high > LARGEST:
            return None
    low = max(start, high // 2)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high
