"""Where a dimension is strong and where it is weak, relative to its own score."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from services.assessment.questionnaires.model import Item, Questionnaire

NAMED = 2  # more than two of four to six items would no longer be the outstanding ones


@dataclass(frozen=True)
class Standing:
    """Item ids: the best above the dimension's score first, the worst below it first."""

    strengths: tuple[str, ...]
    weaknesses: tuple[str, ...]


def standing(
    questionnaire: Questionnaire, dimension: str, score: Fraction, items: Mapping[str, Fraction]
) -> Standing:
    """Up to two items above and two below the dimension's score; equal items name none.

    Among equal scores the heavier item comes first, then the questionnaire's order.
    """
    scored = [
        item for item in questionnaire.items if item.dimension == dimension and item.id in items
    ]
    above = [item for item in scored if items[item.id] > score]
    below = [item for item in scored if items[item.id] < score]
    above.sort(key=lambda item: (-items[item.id], -item.weight))
    below.sort(key=lambda item: (items[item.id], -item.weight))
    return Standing(_ids(above), _ids(below))


def _ids(items: list[Item]) -> tuple[str, ...]:
    return tuple(item.id for item in items[:NAMED])
