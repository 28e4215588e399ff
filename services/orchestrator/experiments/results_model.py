"""What an experiment says so far, as the API shows it."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from services.orchestrator.journeys.shapes import Name


class Lift(BaseModel):
    """The difference to the control. Each interval holds the truth with the confidence of
    `alpha`, however often and whenever somebody looks."""

    model_config = ConfigDict(from_attributes=True)

    estimate: float = Field(description="Per person, in the metric's own unit.")
    low: float
    high: float
    p_value: float = Field(description="Always valid. Already compared with `alpha_each`.")
    relative: float | None = Field(description="As a share of the control: 0.1 is 10 % more.")
    relative_low: float | None
    relative_high: float | None


class VariantResult(BaseModel):
    id: Name
    people: int = Field(description="Who were shown it, each once.")
    mixed: int = Field(
        description="Those of them who turned out to be one with somebody who was shown another."
    )
    mean: float | None = Field(
        description="The metric per person: a share or an amount; null while nobody was shown it."
    )
    lift: Lift | None = Field(
        description="Null for the control, and before both have 100 people and some variety."
    )


class GuardrailResult(BaseModel):
    name: str
    harm: Literal["higher", "lower"]
    variants: list[VariantResult]
    harmed: list[Name] = Field(description="Variants that surely make it worse.")


class SampleRatio(BaseModel):
    """Whether people were divided as planned. Where not, something loses them, and no difference
    between those who are left can be believed."""

    p_value: float | None = Field(description="Null before 5 people are expected in each variant.")
    mismatch: bool = Field(description="p below 0.0005.")


class Suggestion(BaseModel):
    """What the numbers say to do; a person decides."""

    decision: Literal["continue", "winner", "inconclusive", "invalid"] = Field(
        description="`invalid`: the sample ratio is off; find out why. `inconclusive`: the planned "
        "number of people was reached, and no difference found."
    )
    variant: Name | None = Field(None, description="The winner.")
    reason: str


class ExperimentResults(BaseModel):
    at: datetime
    alpha_each: float = Field(description="`alpha`, divided by the comparisons with the control.")
    variants: list[VariantResult]
    guardrails: list[GuardrailResult]
    sample_ratio: SampleRatio
    enough_data: bool = Field(description="Each variant has the planned number of people.")
    suggestion: Suggestion
