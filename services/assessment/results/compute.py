"""From a questionnaire and its responses to results; pure."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from hashlib import sha256
from math import floor
from typing import Literal, cast
from uuid import UUID

from services.assessment.questionnaires.model import Item, Questionnaire
from services.assessment.responses.model import Given
from services.assessment.results.model import (
    DimensionResult,
    GateResult,
    ItemResult,
    PointedItem,
    Results,
)
from services.assessment.scoring.gates import Gated, gate
from services.assessment.scoring.score import (
    DimensionScore,
    Response,
    dimension_scores,
    item_scores,
    level_of,
    overall_score,
)
from services.assessment.scoring.standing import Standing, standing

INDICATIVE_BELOW = 3


def compute(
    questionnaire: Questionnaire,
    assessment_id: UUID,
    responses: Sequence[Given],
    status: Literal["live", "final"],
) -> Results:
    panel = [Response(response.respondent_group, response.scores) for response in responses]
    items = item_scores(panel)
    dimensions = dimension_scores(questionnaire, items)
    overall = overall_score(questionnaire, dimensions)
    level = None if overall is None else level_of(overall)
    gated = None if level is None else gate(questionnaire, level, dimensions, items)
    strongest, weakest = _extremes(dimensions)
    return Results(
        assessment_id=assessment_id,
        questionnaire_id=questionnaire.id,
        questionnaire_version=questionnaire.version,
        status=status,
        responses=len(responses),
        indicative=len(responses) < INDICATIVE_BELOW,
        score=None if overall is None else float(overall),
        level=None if level is None else questionnaire.levels[level - 1],
        floor=None if gated is None else gated.floor,
        floor_dimensions=[] if gated is None else list(gated.floor_dimensions),
        level_gated=None if gated is None else gated.level_gated,
        gates=[] if gated is None else _gates(gated),
        strongest_dimensions=strongest,
        weakest_dimensions=weakest,
        unscored_dimensions=[d.dimension for d in dimensions if d.score is None],
        dimensions=[_dimension(questionnaire, dimension, items) for dimension in dimensions],
        items=_items(questionnaire, items, panel),
        answered_at=max((response.updated_at for response in responses), default=None),
        responses_sha256=_digest(responses),
    )


def _extremes(dimensions: Sequence[DimensionScore]) -> tuple[list[str], list[str]]:
    scores = {d.dimension: d.score for d in dimensions if d.score is not None}
    if len(set(scores.values())) < 2:
        return [], []
    high, low = max(scores.values()), min(scores.values())
    return (
        [name for name, score in scores.items() if score == high],
        [name for name, score in scores.items() if score == low],
    )


def _gates(gated: Gated) -> list[GateResult]:
    return [
        GateResult(
            gate=cast(Literal["dimension_gap", "critical_items"], bound.id),
            allows=bound.allows,
            because=list(bound.because),
        )
        for bound in gated.gates
    ]


def _dimension(
    questionnaire: Questionnaire, result: DimensionScore, items: Mapping[str, Fraction]
) -> DimensionResult:
    dimension = next(d for d in questionnaire.dimensions if d.id == result.dimension)
    stands = Standing((), ())
    if result.score is not None:
        stands = standing(questionnaire, dimension.id, result.score, items)
    by_id = {item.id: item for item in questionnaire.items}
    return DimensionResult(
        dimension=dimension.id,
        label=dimension.label,
        weight=dimension.weight,
        score=None if result.score is None else float(result.score),
        answered_weight=float(result.answered_weight),
        strengths=[_pointed(by_id[item], items[item]) for item in stands.strengths],
        weaknesses=[_pointed(by_id[item], items[item]) for item in stands.weaknesses],
    )


def _pointed(item: Item, score: Fraction) -> PointedItem:
    reached = floor(score)
    return PointedItem(
        item_id=item.id,
        score=float(score),
        text=item.text,
        next_step=item.anchors[reached] if reached < len(item.anchors) else None,
    )


def _items(
    questionnaire: Questionnaire, scores: Mapping[str, Fraction], panel: Sequence[Response]
) -> list[ItemResult]:
    answers = Counter(item for response in panel for item in response.scores)
    return [
        ItemResult(
            item_id=item.id,
            dimension=item.dimension,
            critical=item.critical,
            weight=item.weight,
            score=float(scores[item.id]) if item.id in scores else None,
            answers=answers[item.id],
        )
        for item in questionnaire.items
    ]


def _digest(responses: Sequence[Given]) -> str:
    canonical = sorted(
        json.dumps(
            [
                response.respondent_group,
                sorted(response.scores.items()),
                sorted(response.excluded.items()),
            ]
        )
        for response in responses
    )
    return sha256("\n".join(canonical).encode()).hexdigest()
