"""Clusters of people, each with what sets it apart, as proposals for segments. Pure."""

from typing import Any

import pyarrow as pa

from services.profile.predictions import clusters, describe, features, tree
from services.profile.predictions.features import Feature
from services.profile.predictions.frame import NotEnoughData, Purchases, Result

MIN_PEOPLE = 20


def propose(
    people: pa.Table,
    purchases: pa.Table | None,
    hours: pa.Table | None,
    definition: dict[str, Any],
    as_of_day: int,
) -> Result:
    """``people``: ``profile_id`` and a column of JSON texts per trait; the value of each person is
    the number of the cluster, from 1, None for those who belong to none."""
    ids = people.column("profile_id").combine_chunks()
    if len(ids) < MIN_PEOPLE:
        raise NotEnoughData(f"There are {len(ids)} people; {MIN_PEOPLE} are needed.")
    found = features.of_traits(definition["traits"], people)
    if purchases is not None:
        found += features.of_purchases(ids, Purchases.of(purchases), as_of_day)
    if hours is not None:
        found += features.of_hours(ids, hours)
    matrix = features.matrix(found)
    made = clusters.find(
        matrix, definition["algorithm"], definition["max_clusters"], definition["min_share"]
    )
    behaviour = definition["behaviour"]
    event = behaviour["event"] if behaviour else None
    count = int(made.labels.max()) + 1
    proposals = [_proposal(i, made.labels == i, found, event) for i in range(count)]
    noise = made.labels == clusters.NOISE
    metrics = {
        "people": len(ids),
        "features": [_name(each) for each in found],
        "silhouette": made.silhouette,
        "silhouette_by_clusters": {str(k): value for k, value in made.by_k.items()},
        "unassigned": int(noise.sum()),
        "clusters": proposals,
    }
    return Result(ids, {"value": pa.array(made.labels + 1, mask=noise)}, metrics)


def _proposal(
    index: int, inside: describe.Mask, found: list[Feature], event: str | None
) -> dict[str, Any]:
    told = describe.differences(found, inside)
    en, zh = describe.title(told)
    described = tree.describe(found, inside, event)
    return {
        "number": index + 1,
        "people": int(inside.sum()),
        "share": round(float(inside.mean()), 4),
        "title": {"en": en, "zh": zh},
        "differences": [describe.as_json(each) for each in told],
        "rule": None if described is None else described.rule,
        "rule_precision": None if described is None else described.precision,
        "rule_recall": None if described is None else described.recall,
    }


def _name(feature: Feature) -> str:
    name = f"{feature.source}.{feature.key}"
    return f"{name} = {feature.category}" if feature.is_category else name
