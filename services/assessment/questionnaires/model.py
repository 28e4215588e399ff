"""What a questionnaire is: dimensions, items with five anchors, levels, scoring constants."""

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Weight = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
Excluded = Literal["dont_know", "not_applicable"]


class Part(BaseModel):
    """Base of all parts: immutable, and an unknown key is an error rather than a lost setting."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Text(Part):
    """One wording in both languages."""

    en: str = Field(min_length=1, examples=["Who is responsible for a customer journey?"])
    zh: str = Field(min_length=1, examples=["一条客户旅程由谁负责?"])


class Choice(Part):
    """Something a person picks by its id: a respondent group, or an answer that is not scored."""

    id: Identifier
    label: Text


class Dimension(Part):
    id: Identifier
    label: Text
    meaning: Text
    weight: Weight = Field(description="Relative weight in the overall score; need not sum to 1.")


class Level(Part):
    """A maturity level; it holds from `min` up to, not including, the `min` of the next level."""

    level: int = Field(ge=1, le=5)
    id: Identifier
    label: Text
    meaning: Text
    min: float = Field(ge=1, le=5, description="Lowest overall score of this level.")


class ItemEvidence(Part):
    """How far telemetry may score the item: fully (`auto`), partly (`partial`) or not (`none`)."""

    mode: Literal["auto", "partial", "none"]
    indicators: tuple[Identifier, ...] = ()


class Item(Part):
    id: Identifier
    dimension: Identifier
    weight: Weight = Field(description="Relative weight inside the item's dimension.")
    critical: bool = Field(default=False, description="Critical items also gate `level_gated`.")
    text: Text
    anchors: tuple[Text, ...] = Field(
        min_length=5, max_length=5, description="What answers 1 to 5 mean, in this order."
    )
    evidence: ItemEvidence


class Indicator(Part):
    """A figure the platform computes itself; `points` are the values that map to scores 1 to 5."""

    id: Identifier
    kind: Literal["census", "sample"]
    min_n: int = Field(ge=1)
    window_days: int = Field(ge=1)
    points: tuple[float, float, float, float, float]
    label: Text

    @model_validator(mode="after")
    def points_are_monotone(self) -> Self:
        up = sorted(self.points)
        if len(set(up)) != len(up) or list(self.points) not in (up, up[::-1]):
            raise ValueError(f"indicator {self.id}: points must strictly rise or strictly fall")
        return self


class Questionnaire(Part):
    """An instrument in one version. Results keep the version they were scored with."""

    id: Identifier = Field(examples=["journey-maturity"])
    version: str = Field(min_length=1, max_length=32, examples=["1.0"])
    name: Text
    instructions: Text
    excluded_answers: tuple[Choice, ...] = Field(description="Answers that are kept, not scored.")
    respondent_groups: tuple[Choice, ...] = Field(min_length=1)
    dimensions: tuple[Dimension, ...] = Field(min_length=1)
    levels: tuple[Level, ...] = Field(min_length=5, max_length=5)
    min_answered_weight: float = Field(
        gt=0, le=1, description="Share of a dimension's weight that must be answered for a score."
    )
    items: tuple[Item, ...] = Field(min_length=1)
    indicators: tuple[Indicator, ...] = ()

    @model_validator(mode="after")
    def parts_fit_together(self) -> Self:
        for name, ids in (
            ("respondent group", [group.id for group in self.respondent_groups]),
            ("dimension", [dimension.id for dimension in self.dimensions]),
            ("item", [item.id for item in self.items]),
            ("indicator", [indicator.id for indicator in self.indicators]),
        ):
            repeated = [id_ for id_, count in Counter(ids).items() if count > 1]
            if repeated:
                raise ValueError(f"{name} {repeated[0]} is defined more than once")
        if [(level.level, level.min) for level in self.levels] != list(
            zip((1, 2, 3, 4, 5), (1, 2, 3, 4, 4.5), strict=True)
        ):
            raise ValueError("levels must be 1 to 5, starting at 1, 2, 3, 4 and 4.5")
        dimensions = {dimension.id for dimension in self.dimensions}
        indicators = {indicator.id for indicator in self.indicators}
        for item in self.items:
            if item.dimension not in dimensions:
                raise ValueError(f"item {item.id}: no dimension {item.dimension}")
            unknown = set(item.evidence.indicators) - indicators
            if unknown:
                raise ValueError(f"item {item.id}: no indicator {min(unknown)}")
        empty = dimensions - {item.dimension for item in self.items}
        if empty:
            raise ValueError(f"dimension {min(empty)} has no item")
        return self
