"""Sample sizes against figures that others published."""

import numpy as np
import pytest

from services.orchestrator.experiments import sample_size
from services.orchestrator.experiments.sequential import Sample, Tuning, difference


def test_proportions_need_what_r_publishes() -> None:
    # The manual of R's power.prop.test: p1 = .50, p2 = .75, power = .90 gives n = 76.7.
    assert sample_size.for_proportions(0.50, 0.25, alpha=0.05, power=0.90) == 77


def test_a_loss_needs_as_many_as_a_gain_from_the_other_side() -> None:
    gain = sample_size.for_proportions(0.10, 0.02, alpha=0.05, power=0.80)
    assert gain == sample_size.for_proportions(0.12, -0.02, alpha=0.05, power=0.80)


@pytest.mark.parametrize(
    ("standardised", "people"),
    # Cohen 1988, table 2.4.1: alpha two-sided 0.05, power 0.80, small, medium and large effects.
    [(0.2, 393), (0.5, 64), (0.8, 26)],
)
def test_means_need_what_cohen_published(standardised: float, people: int) -> None:
    assert sample_size.for_means(2.0, 2 * standardised, alpha=0.05, power=0.80) == pytest.approx(
        people, abs=1
    )


def test_means_need_what_r_publishes() -> None:
    # The manual of R's power.t.test: power = .90, delta = 1 gives n = 22.02110.
    assert sample_size.for_means(1.0, 1.0, alpha=0.05, power=0.90) == 23


def test_the_two_ways_for_means_meet() -> None:
    fine = sample_size.for_means(1.0, 0.0398, alpha=0.05, power=0.80)
    coarse = sample_size.for_means(1.0, 0.0396, alpha=0.05, power=0.80)
    assert fine is not None
    assert coarse is not None
    assert 0 < coarse - fine < 0.02 * fine


def test_an_effect_that_nobody_could_find_has_no_size() -> None:
    assert sample_size.for_proportions(0.5, 1e-9, alpha=0.05, power=0.8) is None
    assert sample_size.for_means(1.0, 1e-9, alpha=0.05, power=0.8) is None
    assert sample_size.sequential(0.25, 0.25, 1e-9, alpha=0.05, power=0.8) is None


def test_after_the_sequential_size_the_effect_is_found_as_often_as_promised() -> None:
    base, effect = 0.10, 0.02
    people = sample_size.sequential(0.09, 0.12 * 0.88, effect, alpha=0.05, power=0.80)
    assert people is not None
    once = sample_size.for_proportions(base, effect, alpha=0.05, power=0.80)
    assert once is not None
    assert once < people < 3 * once
    chance = np.random.default_rng(20)
    pairs = zip(
        chance.binomial(people, base, 2_000),
        chance.binomial(people, base + effect, 2_000),
        strict=True,
    )
    tuning = Tuning(0.05, 2 * people)
    found = [
        difference(Sample(people, a / people), Sample(people, b / people), tuning) for a, b in pairs
    ]
    share = sum(each is not None and each.low > 0 for each in found) / len(found)
    assert 0.77 < share < 0.83
