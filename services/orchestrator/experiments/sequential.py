"""Intervals and p-values that stay right however often somebody looks. Pure.

The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (Time-uniform
central limit theory and asymptotic confidence sequences, 2021), which is Robbins' normal mixture as
in Howard and others (2021); its p-value is that of the mixture sequential probability ratio test of
Johari, Koomen, Pekelis, Walsh (Always Valid Inference, 2022).

Being asymptotic it needs a few hundred people before the first look: see ``LEAST_PEOPLE``.
"""

from dataclasses import dataclass
from math import exp, log, sqrt

LEAST_PEOPLE = 100
"""In each variant before anything is said; with fewer the variance is not known well enough."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What is known of one variant. For a conversion the value of each person is 0 or 1."""

    people: int
    mean: float
    variance: float | None = None
    """Of the values; None for conversions, where the mean says it."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Fixed before the start. The interval is narrowest once ``planned`` people were seen, in both
    variants together; it is right at every number."""

    alpha: float
    planned: int

    @property
    def rho_squared(self) -> float:
        """Variance of the mixture (Waudby-Smith and others, section 3.1)."""
        nats = -2 * log(self.alpha)
        return (nats + log(nats) + 1) / self.planned


@dataclass(frozen=True, slots=True)
class Difference:
    """Of a variant from the control: per person, and as a share of the control."""

    estimate: float
    low: float
    high: float
    p_value: float
    relative: float | None
    relative_low: float | None
    relative_high: float | None
    """None where the control's or the variant's mean is not above 0."""

    @property
    def sure(self) -> bool:
        return self.low > 0 or self.high < 0


def half_width(spread: float, people: int, tuning: Tuning) -> float:
    """Half of the interval around an estimate with the variance ``spread`` after ``people``."""
    seen = people * tuning.rho_squared
    return sqrt(spread * (seen + 1) / seen * log((seen + 1) / tuning.alpha**2))


def p_value(estimate: float, spread: float, people: int, tuning: Tuning) -> float:
    """The smallest alpha whose interval leaves out 0, were the mixture tuned the same."""
    seen = people * tuning.rho_squared
    if spread == 0:
        return 1.0 if estimate == 0 else 0.0
    score = estimate**2 / spread
    return min(1.0, sqrt(seen + 1) * exp(-score * seen / (2 * (seen + 1))))


def difference(control: Sample, variant: Sample, tuning: Tuning) -> Difference | None:
    """None before both have ``LEAST_PEOPLE`` and some variety."""
    if min(control.people, variant.people) < LEAST_PEOPLE:
        return None
    ours, theirs = _error(variant), _error(control)
    spread, people = ours + theirs, control.people + variant.people
    if spread <= 0:
        return None
    estimate = variant.mean - control.mean
    width = half_width(spread, people, tuning)
    relative = _relative(control, variant, ours, theirs, tuning)
    return Difference(
        estimate,
        estimate - width,
        estimate + width,
        p_value(estimate, spread, people, tuning),
        *relative,
    )


def _relative(
    control: Sample, variant: Sample, ours: float, theirs: float, tuning: Tuning
) -> tuple[float, float, float] | tuple[None, None, None]:
    """The ratio of the means less 1, its interval by the delta method on the logarithm."""
    if control.mean <= 0 or variant.mean <= 0:
        return None, None, None
    spread = ours / variant.mean**2 + theirs / control.mean**2
    width = half_width(spread, control.people + variant.people, tuning)
    ratio = variant.mean / control.mean
    return ratio - 1, ratio * exp(-width) - 1, ratio * exp(width) - 1


def _error(sample: Sample) -> float:
    """Variance of the mean. Of shares with one half added to both sides, so that a variant in which
    nobody converted yet is not taken for certain."""
    if sample.variance is not None:
        return sample.variance / sample.people
    share = (sample.mean * sample.people + 0.5) / (sample.people + 1)
    return share * (1 - share) / sample.people
