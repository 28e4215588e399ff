"""Sequential inference: right under continuous looks, and able to find what is there."""

from math import sqrt

import numpy as np
import numpy.typing as npt
import pytest

from services.orchestrator.experiments.sequential import (
    LEAST_PEOPLE,
    Sample,
    Tuning,
    difference,
    half_width,
    p_value,
)

RUNS, LOOKS, STEP = 2_000, 100, 100
Counts = npt.NDArray[np.float64]


def _shares(chance: np.random.Generator, rate: float) -> Counts:
    """Conversions of each run until each look."""
    return chance.binomial(STEP, rate, (RUNS, LOOKS)).cumsum(axis=1)


def _found(control: Counts, variant: Counts, tuning: Tuning) -> tuple[float, float]:
    """The share of runs that found a difference at any look: always valid, and by the naive z."""
    sure = naive = 0
    for ours, theirs in zip(control, variant, strict=True):
        seen, fooled = False, False
        for look in range(LOOKS):
            people = STEP * (look + 1)
            a, b = float(ours[look]) / people, float(theirs[look]) / people
            found = difference(Sample(people, a), Sample(people, b), tuning)
            seen = seen or (found is not None and found.sure)
            spread = (a * (1 - a) + b * (1 - b)) / people
            fooled = fooled or abs(b - a) > 1.96 * sqrt(spread)
        sure, naive = sure + seen, naive + fooled
    return sure / RUNS, naive / RUNS


@pytest.mark.parametrize("rate", [0.02, 0.10, 0.50])
def test_a_a_tests_under_continuous_looks_find_nothing_more_often_than_alpha(rate: float) -> None:
    chance = np.random.default_rng(7)
    control, variant = _shares(chance, rate), _shares(chance, rate)
    false, naive = _found(control, variant, Tuning(0.05, 2 * STEP * LOOKS))
    assert false <= 0.05
    # The same looks with the ordinary test: the simulation would show a method that is not valid.
    assert naive > 0.25


def test_a_b_tests_find_an_effect_that_was_planned_for() -> None:
    chance = np.random.default_rng(8)
    control, variant = _shares(chance, 0.10), _shares(chance, 0.12)
    found, _ = _found(control, variant, Tuning(0.05, 2 * STEP * LOOKS))
    assert found > 0.85


def test_means_of_skewed_values_hold_alpha_under_continuous_looks() -> None:
    # Nine in ten spend nothing, the others by a lognormal: what an order's value looks like.
    chance = np.random.default_rng(9)
    runs, looks, step = 2_000, 50, 200
    tuning, false = Tuning(0.05, 2 * looks * step), 0
    for _ in range(runs):
        spent = chance.lognormal(3.0, 1.0, (2, looks, step))
        spent *= chance.random(spent.shape) < 0.1
        total, squares = spent.sum(axis=2).cumsum(axis=1), (spent**2).sum(axis=2).cumsum(axis=1)
        for look in range(looks):
            n = step * (look + 1)
            mean = total[:, look] / n
            variance = (squares[:, look] - n * mean**2) / (n - 1)
            arms = [Sample(n, float(mean[i]), float(variance[i])) for i in (0, 1)]
            found = difference(arms[0], arms[1], tuning)
            if found is not None and found.sure:
                false += 1
                break
    assert false / runs <= 0.05


def test_the_interval_is_that_of_the_paper() -> None:
    # Waudby-Smith and others 2021, theorem 2.2 with sigma 1, t = 1,000, rho^2 = 0.01, alpha 0.05.
    tuning = Tuning(0.05, 1)
    seen = 1_000 * tuning.rho_squared
    expected = sqrt(2 * (seen + 1) / (1_000 * seen) * np.log(sqrt(seen + 1) / 0.05))
    assert half_width(1 / 1_000, 1_000, tuning) == pytest.approx(expected)


def test_the_p_value_is_alpha_where_the_interval_ends_at_nothing() -> None:
    tuning, spread, people = Tuning(0.05, 4_000), 0.0001, 3_000
    width = half_width(spread, people, tuning)
    assert p_value(width, spread, people, tuning) == pytest.approx(0.05)


def test_relative_lift_is_a_share_of_the_control() -> None:
    found = difference(Sample(50_000, 0.10), Sample(50_000, 0.12), Tuning(0.05, 100_000))
    assert found is not None
    assert found.estimate == pytest.approx(0.02)
    assert found.relative == pytest.approx(0.2)
    assert found.relative_low is not None
    assert found.relative_high is not None
    assert 0 < found.relative_low < 0.2 < found.relative_high


def test_nothing_is_said_of_few_people_or_of_none_who_differ() -> None:
    tuning = Tuning(0.05, 1_000)
    few, many = Sample(LEAST_PEOPLE - 1, 0.5), Sample(10_000, 0.1)
    assert difference(few, many, tuning) is None
    assert difference(many, few, tuning) is None
    alike = Sample(1_000, 3.0, 0.0)
    assert difference(alike, alike, tuning) is None


def test_no_conversions_in_a_variant_is_not_certainty() -> None:
    found = difference(Sample(200, 0.0), Sample(200, 0.005), Tuning(0.05, 1_000))
    assert found is not None
    assert not found.sure
    assert found.relative is None
