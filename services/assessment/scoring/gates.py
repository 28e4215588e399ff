"""What an organization can rely on: the level lowered until no weak spot contradicts it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from services.assessment.questionnaires.model import Questionnaire
from services.assessment.scoring.score import DimensionScore, level_of


@dataclass(frozen=True)
class Gate:
    """A rule that lowers the level: `allows` is the highest level it permits, `because` names
    the dimensions or items that bind it."""

    id: str
    allows: int
    because: tuple[str, ...]


@dataclass(frozen=True)
class Gated:
    floor: int
    floor_dimensions: tuple[str, ...]
    level_gated: int
    gates: tuple[Gate, ...]


def gate(
    questionnaire: Questionnaire,
    level: int,
    dimensions: Sequence[DimensionScore],
    items: Mapping[str, Fraction],
) -> Gated:
    """`floor` and `level_gated` beside a reported `level`; every dimension must have a score.

    Gates that bind are named in this order: `dimension_gap` (at most one level above the floor),
    `critical_items` (level L ≥ 3 needs every scored critical item at L - 1 or more). A critical
    item without an answer binds nothing.
    """
    scores = {d.dimension: d.score for d in dimensions if d.score is not None}
    lowest = min(scores.values())
    floor = level_of(lowest)
    weakest = tuple(name for name, score in scores.items() if score == lowest)
    critical = {i.id: items[i.id] for i in questionnaire.items if i.critical and i.id in items}
    candidates = (Gate("dimension_gap", floor + 1, weakest), _critical_gate(level, critical))
    gates = tuple(candidate for candidate in candidates if candidate.allows < level)
    return Gated(floor, weakest, min([level, *(g.allows for g in gates)]), gates)


def _critical_gate(level: int, critical: Mapping[str, Fraction]) -> Gate:
    allowed = level
    while allowed >= 3 and any(score < allowed - 1 for score in critical.values()):
        allowed -= 1
    too_low = tuple(item for item, score in critical.items() if score < allowed)
    return Gate("critical_items", allowed, too_low)
