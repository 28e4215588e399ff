"""RFM scores, the matrix and the value tiers."""

from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.profile.predictions import rfm
from services.profile.predictions.frame import NotEnoughData, Purchases
from services.profile.predictions.rfm_cells import MATRIX

values = st.lists(st.integers(0, 20), min_size=5, max_size=200).map(lambda v: np.array(v, float))


@given(values, st.randoms(use_true_random=False))
def test_scores_follow_the_values_and_no_order(numbers: np.ndarray, random: Random) -> None:
    scores = rfm.quintiles(numbers)
    assert set(scores) <= {1, 2, 3, 4, 5}
    for score, value in zip(scores, numbers, strict=True):
        assert (scores[numbers == value] == score).all()
        assert (scores[numbers > value] >= score).all()
    order = np.array(random.sample(range(len(numbers)), len(numbers)))
    assert (rfm.quintiles(numbers[order]) == scores[order]).all()


def test_a_hundred_different_values_make_five_equal_groups() -> None:
    assert np.bincount(rfm.quintiles(np.arange(100.0))).tolist() == [0, 20, 20, 20, 20, 20]
    assert (rfm.quintiles(np.full(7, 3.0)) == 3).all()
    assert np.bincount(rfm.tiers(np.arange(100.0))).tolist() == [20, 30, 50]


def test_every_pair_of_scores_has_a_cell_and_the_corners_are_known() -> None:
    assert [len(row) for row in MATRIX] == [5] * 5
    assert MATRIX[4][4].key == "champions"
    assert MATRIX[4][0].key == "new_customers"
    assert MATRIX[0][4].key == "cannot_lose"
    assert MATRIX[0][0].key == "hibernating"


def test_the_matrix_holds_everybody_and_all_money() -> None:
    random = np.random.default_rng(1)
    n = 500
    customers = Purchases(
        pa.array([str(i) for i in range(n)], pa.string()),
        random.integers(1, 9, n).astype(float),
        np.zeros(n),
        random.integers(0, 100, n).astype(float),
        random.gamma(2, 30, n),
        np.zeros(n),
    )
    found = rfm.score(customers, 100)
    matrix = found.metrics["matrix"]
    assert sum(cell["people"] for cell in matrix) == n
    assert sum(cell["value"] for cell in matrix) == pytest.approx(customers.total.sum(), abs=1)
    assert sum(tier["value_share"] for tier in found.metrics["tiers"]) == pytest.approx(1, abs=1e-3)
    for cell in matrix:
        here = (found.columns["recency"] == cell["recency"]) & (
            found.columns["frequency"] == cell["frequency"]
        )
        assert here.sum() == cell["people"]
        assert set(found.columns["value"][here]) <= {cell["cell"]}
    empty = [cell for cell in matrix if not cell["people"]]
    assert all(cell["mean_purchases"] is None for cell in empty)


def test_four_buyers_are_too_few() -> None:
    four = [np.ones(4)] * 5
    with pytest.raises(NotEnoughData, match="4 people have bought; 5 are needed"):
        rfm.score(Purchases(pa.array(list("abcd")), *four), 10)
