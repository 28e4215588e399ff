"""Clusters: groups that are there are found, told in words, and described by true rules."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from services.profile.predictions import clusters, describe, features, propose, tree
from services.profile.predictions.features import Feature
from services.profile.predictions.frame import NotEnoughData, Purchases
from services.rules import Person, evaluate, normalise

TRAITS = ["age", "plan", "city.size"]
DEFINITION: dict[str, Any] = {
    "traits": TRAITS,
    "behaviour": {"event": "Ordered", "value": "total", "currency": None},
    "preferences": True,
    "algorithm": "kmeans",
    "max_clusters": 6,
    "min_share": 0.05,
}
GROUPS = ((25, "free", 1, 20), (45, "pro", 12, 10), (70, "pro", 4, 130))
"""Age, plan, purchases, hour of the week."""


def population(count: int, seed: int = 1) -> tuple[pa.Table, pa.Table, pa.Table, np.ndarray]:
    random = np.random.default_rng(seed)
    group = random.integers(0, len(GROUPS), count)
    age, plan, orders, hour = (np.array([g[i] for g in GROUPS])[group] for i in range(4))
    ids = [f"p{i:05}" for i in range(count)]
    ages: list[str | None] = [json.dumps(int(a)) for a in age + random.normal(0, 4, count)]
    ages[::11] = [None] * len(ages[::11])
    people = pa.table(
        {
            "profile_id": ids,
            "trait_0": pa.array(ages, pa.string()),
            "trait_1": [json.dumps(str(p)) for p in plan],
            "trait_2": pa.array([None] * count, pa.string()),
        }
    )
    days = np.maximum(1, random.poisson(orders)).astype(float)
    purchases = pa.table(
        {
            "profile_id": ids,
            "days": days,
            "first_day": np.zeros(count),
            "last_day": np.full(count, 90.0),
            "total": days * random.gamma(20, 1, count),
            "first_value": np.full(count, 20.0),
        }
    )
    hours = pa.table({"profile_id": ids, "hour": hour.astype(float), "events": np.full(count, 9.0)})
    return people, purchases, hours, group


def agreement(labels: np.ndarray, group: np.ndarray) -> float:
    """Share of people whose cluster is mostly of their group."""
    right = sum(np.bincount(group[labels == label]).max() for label in set(labels) if label >= 0)
    return float(right / len(group))


@pytest.mark.parametrize("algorithm", ["kmeans", "hdbscan"])
def test_groups_that_are_there_are_found_and_told_apart(algorithm: str) -> None:
    people, purchases, hours, group = population(900)
    found = propose.propose(
        people, purchases, hours, {**DEFINITION, "algorithm": algorithm}, as_of_day=100
    )
    labels = np.array(found.columns["value"].fill_null(0).to_pylist()) - 1
    proposed = found.metrics["clusters"]
    assert agreement(labels, group) > 0.9
    assert found.metrics["silhouette"] > 0.4
    assert sum(each["people"] for each in proposed) + found.metrics["unassigned"] == 900
    assert [each["people"] for each in proposed] == sorted(
        (each["people"] for each in proposed), reverse=True
    )
    if algorithm == "kmeans":
        by_k = found.metrics["silhouette_by_clusters"]
        assert max(by_k, key=by_k.__getitem__) == "3"
        assert len(proposed) == 3
    for each in proposed:
        assert each["differences"]
        assert all(d["text"]["en"] and d["text"]["zh"] for d in each["differences"])


def test_more_people_than_the_sample_join_the_nearest_cluster() -> None:
    random = np.random.default_rng(2)
    group = random.integers(0, 3, 2000)
    matrix = (random.normal(0, 0.3, (2000, 2)) + group[:, None] * 4).astype(np.float32)
    for algorithm in ("kmeans", "hdbscan"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(clusters, "SAMPLE", 400)
            made = clusters.find(matrix, algorithm, 6, 0.05)
        assert agreement(made.labels, group) > 0.9
        assert made.labels.max() == 2


def test_clusters_do_not_change_from_one_time_to_the_next() -> None:
    matrix = np.random.default_rng(3).normal(0, 1, (300, 3)).astype(np.float32)
    first, again = (clusters.find(matrix, "kmeans", 5, 0.05) for _ in range(2))
    assert (first.labels == again.labels).all()


def test_words_and_numbers_are_said_in_both_languages() -> None:
    plan = np.array([1.0] * 8 + [0.0] * 12)
    age = np.array([60.0] * 10 + [30.0] * 10)
    inside = np.arange(20) < 10
    found = describe.differences(
        [Feature("trait", "plan", plan, "pro", is_category=True), Feature("trait", "age", age)],
        inside,
    )
    assert [d.feature.key for d in found] == ["age", "plan"]
    assert describe.sentence(found[0]) == (
        "Age is higher: 60 on average (others 30).",
        "age较高：平均 60（其他人 30）。",
    )
    assert describe.sentence(found[1]) == (
        "80% have plan = pro (others 0%).",
        "80% 的人的 plan 为 pro（其他人 0%）。",
    )
    assert describe.title(found) == ("High age, mostly plan = pro", "age高、多数 plan 为 pro")
    assert found[1].lift is None
    assert describe.title([]) == ("Like everybody", "与总体相近")


def test_a_proposed_rule_says_of_people_exactly_what_the_tree_says() -> None:
    random = np.random.default_rng(4)
    n = 400
    age = random.integers(18, 80, n).astype(float)
    age[random.random(n) < 0.2] = np.nan
    pro = (random.random(n) < 0.5).astype(float)
    inside = (np.nan_to_num(age) > 40) & (pro > 0)
    known = [Feature("trait", "age", age), Feature("trait", "plan", pro, "pro", is_category=True)]
    for wanted in (inside, ~inside, np.isnan(age)):
        described = tree.describe(known, wanted, None)
        assert described is not None
        assert (described.precision, described.recall) == (1, 1)
        rule = normalise(described.rule)
        for i in range(n):
            traits: dict[str, Any] = {"plan": "pro" if pro[i] else "free"}
            if not np.isnan(age[i]):
                traits["age"] = float(age[i])
            assert evaluate(rule, Person(traits=traits), 0) == wanted[i]


def test_purchases_become_event_nodes_and_what_cannot_be_read_none() -> None:
    orders = np.repeat([0.0, 1, 5, 9], 10)
    inside = orders >= 5
    described = tree.describe([Feature("behaviour", "purchases", orders)], inside, "Ordered")
    assert described is not None
    assert described.rule == {
        "combinator": "and",
        "rules": [{"event": "Ordered", "count": {"operator": ">=", "value": 4}}],
    }
    normalise(described.rule)
    assert tree.describe([Feature("preference", "share_night", orders)], inside, "Ordered") is None
    noise = np.random.default_rng(5).random(40)
    assert tree.describe([Feature("trait", "noise", noise)], inside, None) is None


def test_features_are_what_traits_hold() -> None:
    table = pa.table(
        {
            "trait_0": pa.array(["1", "2.5", '"x"', None] + ["3"] * 20, pa.string()),
            "trait_1": pa.array(['"a"', '"b"', "true", "[1]"] + ['"a"'] * 10 + ['"b"'] * 10),
            "trait_2": pa.array([None] * 24, pa.string()),
        }
    )
    found = features.of_traits(["n", "word", "nothing"], table)
    assert [(f.key, f.category) for f in found] == [("n", None), ("word", "a"), ("word", "b")]
    assert np.isnan(found[0].values[2:4]).all()
    assert found[1].values.sum() == 11
    matrix = features.matrix(found)
    assert matrix.mean(axis=0) == pytest.approx(0, abs=1e-6)
    with pytest.raises(NotEnoughData, match="same for everybody"):
        features.matrix([Feature("trait", "n", np.ones(5))])


def test_people_without_purchases_are_not_taken_for_recent_buyers() -> None:
    bought = Purchases(pa.array(["a"]), *(np.array([float(v)]) for v in (3, 10, 90, 60, 20)))
    found = {f.key: f.values for f in features.of_purchases(pa.array(["a", "b"]), bought, 100)}
    assert found["purchases"].tolist() == [3, 0]
    assert found["spend"].tolist() == [60, 0]
    assert found["days_since_purchase"][0] == 10
    assert np.isnan(found["days_since_purchase"][1])
