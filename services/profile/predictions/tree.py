"""A simple rule that says who is in a cluster, where there is one. Pure.

A decision tree of depth 3 is learnt for the cluster against everybody else, over what the rule
language can read, and written as a tree of that language. Its tests are chosen so that a missing
value goes the same way in both.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.tree import DecisionTreeClassifier

from services.profile.predictions.features import Feature

Mask = npt.NDArray[np.bool_]

DEPTH = 3
MIN_F1 = 0.8
"""Below, a rule names too many wrong people or misses too many."""
_SEED = 3
_MISSING = -1e12
"""Below every real value, so that it always goes left, to the side of "not greater"."""


@dataclass(frozen=True, slots=True)
class Described:
    """``precision``: share of those the rule names that are in the cluster; ``recall``: share of
    the cluster that it names."""

    rule: dict[str, Any]
    precision: float
    recall: float


def describe(features: list[Feature], inside: Mask, event: str | None) -> Described | None:
    """``event``: the purchases of the behaviour features. None where no simple rule does."""
    usable = [each for each in features if _readable(each, event)]
    if not usable:
        return None
    columns = np.column_stack([np.nan_to_num(each.values, nan=_MISSING) for each in usable])
    learnt = DecisionTreeClassifier(
        max_depth=DEPTH,
        class_weight="balanced",
        min_samples_leaf=max(2, inside.sum() // 50),
        random_state=_SEED,
    ).fit(columns, inside)
    named = learnt.predict(columns)
    hit = int((named & inside).sum())
    if not hit:
        return None
    precision, recall = hit / int(named.sum()), hit / int(inside.sum())
    if 2 * precision * recall / (precision + recall) < MIN_F1:
        return None
    return Described(_rule(learnt.tree_, usable, event), round(precision, 4), round(recall, 4))


def _readable(feature: Feature, event: str | None) -> bool:
    if feature.source == "trait":
        return True
    return event is not None and feature.key in ("purchases", "days_since_purchase")


def _rule(tree: Any, features: list[Feature], event: str | None) -> dict[str, Any]:
    """The paths to the leaves that say yes, any of which holds."""
    paths: list[list[dict[str, Any]]] = []

    def walk(node: int, path: list[dict[str, Any]]) -> None:
        if tree.children_left[node] == -1:
            if tree.value[node][0].argmax() == 1:
                paths.append(path)
            return
        above = _above(features[tree.feature[node]], float(tree.threshold[node]), event)
        walk(tree.children_left[node], [*path, _not(above)])
        walk(tree.children_right[node], [*path, above])

    walk(0, [])
    groups = [{"combinator": "and", "rules": path} for path in paths]
    return groups[0] if len(groups) == 1 else {"combinator": "or", "rules": groups}


def _above(feature: Feature, threshold: float, event: str | None) -> dict[str, Any]:
    """The node that holds for values above the threshold, and for no missing one."""
    if feature.is_category:
        return {"field": f"traits.{feature.key}", "operator": "=", "value": feature.category}
    if feature.source == "trait":
        return {"field": f"traits.{feature.key}", "operator": ">", "value": threshold}
    ever = {"event": event}
    if feature.key == "purchases":
        return {**ever, "count": {"operator": ">=", "value": int(np.floor(threshold)) + 1}}
    if threshold < 0:
        return ever
    lately = {**ever, "window": {"last_days": min(3650, int(np.floor(threshold)) + 1)}}
    return {"combinator": "and", "rules": [ever, _not(lately)]}


def _not(node: dict[str, Any]) -> dict[str, Any]:
    """Two nots are none."""
    if node.get("not"):
        (inner,) = node["rules"]
        return dict(inner)
    return {"combinator": "and", "not": True, "rules": [node]}
