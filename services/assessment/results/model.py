"""What an assessment says: the level, and where it comes from."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from services.assessment.questionnaires.model import Level, Text

Score = float


class PointedItem(BaseModel):
    """An item that stands out from its dimension."""

    item_id: str = Field(examples=["GOV5"])
    score: Score = Field(description="1 to 5, not rounded.")
    text: Text
    next_step: Text | None = Field(
        description="The statement of the next level; null at the top. What to aim for."
    )


class DimensionResult(BaseModel):
    dimension: str = Field(examples=["governance"])
    label: Text
    weight: float = Field(description="Relative weight in the overall score.")
    score: Score | None = Field(
        description="Weighted mean of the dimension's items, 1 to 5, not rounded; null where less "
        "than the questionnaire's `min_answered_weight` is answered."
    )
    answered_weight: float = Field(description="Answered share of the dimension's weight, 0 to 1.")
    strengths: list[PointedItem] = Field(
        description="Up to two items above the dimension's score, best first."
    )
    weaknesses: list[PointedItem] = Field(
        description="Up to two items below the dimension's score, worst first."
    )


class ItemResult(BaseModel):
    item_id: str
    dimension: str
    critical: bool
    weight: float
    score: Score | None = Field(
        description="Mean over respondent groups of the group's mean; groups of one count together."
    )
    answers: int = Field(description="Scored answers behind it.")


class GateResult(BaseModel):
    """A rule that lowers `level_gated` below `level`."""

    gate: Literal["dimension_gap", "critical_items"]
    allows: int = Field(description="The highest level it permits.")
    because: list[str] = Field(description="Dimensions or items that bind it.")


class Results(BaseModel):
    """All figures come from the answers by the questionnaire's rules; nothing is entered by hand.

    `score` is the weighted mean of the dimension scores; `level` cuts it, unrounded, at 2, 3, 4
    and 4.5. `floor` and `level_gated` stand beside the level and never replace it.
    """

    assessment_id: UUID
    questionnaire_id: str
    questionnaire_version: str
    status: Literal["live", "final"] = Field(
        description="`live`: of the answers so far; `final`: kept when the assessment was closed."
    )
    responses: int
    indicative: bool = Field(description="Fewer than three people answered: read it as a hint.")
    score: Score | None = Field(
        description="1 to 5, not rounded; null while a dimension has no score."
    )
    level: Level | None = Field(description="The reported level, null while there is no score.")
    floor: int | None = Field(description="The level of the lowest dimension.")
    floor_dimensions: list[str] = Field(description="The dimension or dimensions at the floor.")
    level_gated: int | None = Field(
        description="`level` lowered until the gates hold: what the organization can rely on."
    )
    gates: list[GateResult]
    strongest_dimensions: list[str] = Field(description="Highest score; empty when all are equal.")
    weakest_dimensions: list[str] = Field(description="Lowest score; empty when all are equal.")
    unscored_dimensions: list[str] = Field(description="Why there is no level, if there is none.")
    dimensions: list[DimensionResult]
    items: list[ItemResult]
    answered_at: datetime | None = Field(description="When the latest answer was given.")
    responses_sha256: str = Field(description="Digest of all answers, to compare two results by.")
