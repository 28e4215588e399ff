"""Maturity scores in exact arithmetic: from answers over items and dimensions to the level.

Everything is a `Fraction`: a mean that is 4.5 on paper is 4.5 here, so no floating-point tie can
move an organization across a level. Scores lie in 1..5.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from services.assessment.questionnaires.model import Item, Questionnaire

CUTS = (Fraction(2), Fraction(3), Fraction(4), Fraction(9, 2))
MERGED = ""  # a key no respondent group can have: ids are never empty
LARGEST_DENOMINATOR = 10**9


@dataclass(frozen=True)
class Response:
    """One person's scored answers, item id → 1..5; answers that are not scored are left out."""

    group: str
    scores: Mapping[str, int]


@dataclass(frozen=True)
class DimensionScore:
    """`score` is None where less of the dimension's weight was answered than the rule asks for."""

    dimension: str
    score: Fraction | None
    answered_weight: Fraction


def item_scores(responses: Iterable[Response]) -> dict[str, Fraction]:
    """Per item the mean over respondent groups of the group's mean; unanswered items are absent.

    Groups of which one person answered the item count together as one group, because a group's
    equal weight would give that single person too much influence.
    """
    answers: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for response in responses:
        for item, score in response.scores.items():
            answers[item][response.group].append(score)
    return {item: _mean_of_groups(groups) for item, groups in answers.items()}


def _mean_of_groups(groups: Mapping[str, Sequence[int]]) -> Fraction:
    merged: dict[str, list[int]] = defaultdict(list)
    for group, scores in groups.items():
        merged[group if len(scores) > 1 else MERGED].extend(scores)
    means = [Fraction(sum(scores), len(scores)) for scores in merged.values()]
    return sum(means, Fraction(0)) / len(means)


def dimension_scores(
    questionnaire: Questionnaire, items: Mapping[str, Fraction]
) -> list[DimensionScore]:
    """The weighted mean of each dimension's scored items, in the questionnaire's order."""
    of_dimension: dict[str, list[Item]] = defaultdict(list)
    for item in questionnaire.items:
        of_dimension[item.dimension].append(item)
    needed = exact(questionnaire.min_answered_weight)
    return [
        _dimension_score(dimension.id, of_dimension[dimension.id], items, needed)
        for dimension in questionnaire.dimensions
    ]


def _dimension_score(
    dimension: str, its_items: Sequence[Item], items: Mapping[str, Fraction], needed: Fraction
) -> DimensionScore:
    weighted = [(exact(i.weight), items[i.id]) for i in its_items if i.id in items]
    answered = sum((weight for weight, _ in weighted), Fraction(0))
    share = answered / sum(exact(item.weight) for item in its_items)
    score = sum(w * s for w, s in weighted) / answered if weighted and share >= needed else None
    return DimensionScore(dimension, score, share)


def overall_score(
    questionnaire: Questionnaire, dimensions: Sequence[DimensionScore]
) -> Fraction | None:
    """M, the weighted mean of the dimension scores; None where any dimension has no score."""
    weights = {dimension.id: exact(dimension.weight) for dimension in questionnaire.dimensions}
    total = Fraction(0)
    for dimension in dimensions:
        if dimension.score is None:
            return None
        total += weights[dimension.dimension] * dimension.score
    return total / sum(weights.values())


def level_of(score: Fraction | float) -> int:
    """The level of an unrounded score: [1, 2) 1, [2, 3) 2, [3, 4) 3, [4, 4.5) 4, [4.5, 5] 5."""
    value = exact(score)
    return 1 + sum(value >= cut for cut in CUTS)


def exact(value: Fraction | float) -> Fraction:
    """A float as the fraction it stands for: the nearest one whose denominator is at most 10^9.

    So 0.1 + 0.2 becomes 3/10 and 4.499999999999999 becomes 9/2, while 4.49999999 stays below it.
    """
    if isinstance(value, Fraction):
        return value
    return Fraction(value).limit_denominator(LARGEST_DENOMINATOR)
