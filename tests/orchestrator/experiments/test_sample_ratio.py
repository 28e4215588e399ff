"""The sample ratio check."""

import numpy as np
import pytest

from services.orchestrator.experiments.sample_ratio import ALARM_BELOW, p_value


def test_a_published_mismatch_is_found() -> None:
    # Kohavi, Tang, Xu, Trustworthy Online Controlled Experiments (2020), ch. 3: 821,588 against
    # 815,482 people where half and half was planned, p = 1.8e-6.
    found = p_value([821_588, 815_482], [1, 1])
    assert found == pytest.approx(1.8e-6, rel=0.05)


def test_weights_are_what_counts_are_held_against() -> None:
    assert p_value([900, 100], [9, 1]) == pytest.approx(1.0)
    skewed = p_value([900, 100], [1, 1])
    assert skewed is not None
    assert skewed < ALARM_BELOW


def test_an_even_division_rarely_raises_the_alarm() -> None:
    counts = np.random.default_rng(3).multinomial(6_000, [0.5, 0.3, 0.2], size=10_000)
    values = [p_value(list(map(int, each)), [5, 3, 2]) for each in counts]
    alarms = sum(value is not None and value < ALARM_BELOW for value in values)
    assert alarms <= 15  # 5 are expected; above 15 lies less than one in 10,000


def test_too_few_people_say_nothing() -> None:
    assert p_value([4, 0], [1, 1]) is None
    assert p_value([0, 0], [1, 1]) is None


def test_anybody_in_a_variant_that_nobody_should_get_is_a_mismatch() -> None:
    assert p_value([500, 1], [1, 0]) == 0.0
