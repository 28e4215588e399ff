"""Experiments as the API shows and takes them."""

from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.orchestrator.experiments.results_model import ExperimentResults
from services.orchestrator.journeys.shapes import LONGEST_WINDOW_SECONDS, Name, Strict

ExperimentState = Literal["draft", "running", "stopped"]
MONTH_SECONDS = 30 * 86_400

EXAMPLE: dict[str, Any] = {
    "name": "Reminder wording",
    "hypothesis": "Naming the saved amount makes more people complete the offer.",
    "variants": [{"id": "control", "weight": 1}, {"id": "amount", "weight": 1}],
    "control": "control",
    "fallback": "control",
    "metric": {
        "kind": "goal",
        "journey_id": "0199f0c2-5a52-7c3e-9f3a-0d6f1f1c2b7c",
        "goal": "completed",
        "measure": "people",
        "window_seconds": 604_800,
    },
    "expected": 0.10,
    "minimum_effect": 0.02,
}


class Variant(Strict):
    id: Name
    weight: int = Field(1, ge=1, le=10_000, description="Its share of the sum of all weights.")


class GoalMetric(Strict):
    """How many of the people who were shown a variant reach a goal of a journey, or what those
    goals were worth per person shown."""

    kind: Literal["goal"]
    journey_id: UUID
    goal: Name
    measure: Literal["people", "value"] = Field(
        "people",
        description="`people`: the share that reached it. `value`: the sum of the goal's values "
        "per person, 0 for those who did not reach it.",
    )
    window_seconds: int = Field(
        MONTH_SECONDS,
        ge=60,
        le=LONGEST_WINDOW_SECONDS,
        description="Counted for so long after each person was first shown a variant.",
    )


class Guardrail(Strict):
    """What must not get worse, whatever the primary metric says."""

    name: str = Field(min_length=1, max_length=200, examples=["Unsubscribed"])
    metric: GoalMetric
    harm: Literal["higher", "lower"] = Field(
        description="Which way it gets worse.", examples=["higher"]
    )


class ExperimentCreate(BaseModel):
    """What is tested, on whom, and what will decide: all of it before the start."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    name: str = Field(min_length=1, max_length=200)
    hypothesis: str = Field(min_length=1, max_length=2_000)
    variants: list[Variant] = Field(min_length=2, max_length=10)
    control: Name = Field(description="The variant that the others are compared with.")
    fallback: Name = Field(
        description="The variant everybody gets before the start, and after an inconclusive end."
    )
    metric: GoalMetric = Field(description="The one metric that decides.")
    guardrails: list[Guardrail] = Field(default_factory=list, max_length=5)
    expected: float = Field(
        description="What the metric is without a change: a share for `people`, an amount per "
        "person for `value`.",
        allow_inf_nan=False,
    )
    deviation: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Standard deviation of the amount per person; needed for `value`.",
    )
    minimum_effect: float = Field(
        gt=0,
        allow_inf_nan=False,
        description="The smallest change worth finding, in the metric's own unit: 0.02 is two "
        "percentage points.",
    )
    alpha: float = Field(
        0.05, ge=0.001, le=0.2, description="How often chance alone may look like an effect."
    )
    power: float = Field(
        0.8, ge=0.5, le=0.99, description="How often an effect of that size shall be found."
    )
    minimum_seconds: int = Field(
        604_800,
        ge=0,
        le=LONGEST_WINDOW_SECONDS,
        description="No winner is suggested before: a week holds every weekday once.",
    )
    salt: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="Seed of the division. Experiments with the same salt and weights divide "
        "people alike; the experiment's id if left out.",
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names = [variant.id for variant in self.variants]
        if len(set(names)) < len(names):
            raise ValueError("two variants have the same id")
        for field, value in (("control", self.control), ("fallback", self.fallback)):
            if value not in names:
                raise ValueError(f"`{field}` is none of the variants: {', '.join(names)}")
        if self.metric.measure == "value" and self.deviation is None:
            raise ValueError("a metric of `value` needs the `deviation` of the amount per person")
        if self.metric.measure == "people" and not (
            self.expected > 0 and self.expected + self.minimum_effect < 1
        ):
            raise ValueError(
                "for a metric of `people`, `expected` is a share above 0, and below 1 with "
                "`minimum_effect` added"
            )
        return self


class SampleSize(BaseModel):
    """People in the smallest variant to find the minimum effect; null where nobody could."""

    once: int | None = Field(description="If looked at once, at the end, by an ordinary test.")
    always: int | None = Field(
        description="If looked at whenever one likes, as `results` does. Most effects worth having "
        "are found earlier."
    )


class Decision(BaseModel):
    """How it ended, with the numbers of that moment."""

    decision: Literal["winner", "fallback", "inconclusive"]
    variant: str = Field(description="What everybody gets from then on.")
    by: str = Field(description="Who decided, as the token names them.")
    reason: str
    override_reason: str | None = None
    results: ExperimentResults = Field(description="As they were at that moment.")


class Experiment(ExperimentCreate):
    model_config = ConfigDict(extra="ignore", json_schema_extra={"examples": []})

    id: UUID
    state: ExperimentState
    sample_size: SampleSize
    decision: Decision | None
    created_at: datetime
    started_at: datetime | None
    stopped_at: datetime | None


class ExperimentStop(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"decision": "winner", "variant": "amount", "reason": "Clear lift, no harm."},
                {"decision": "inconclusive", "reason": "No difference after the planned size."},
            ]
        },
    )

    decision: Literal["winner", "fallback", "inconclusive"] = Field(
        description="`winner`: everybody gets `variant`. Otherwise everybody gets the fallback "
        "variant: `inconclusive` where no difference was found, `fallback` where the experiment is "
        "given up."
    )
    variant: Name | None = Field(None, description="The winner; for `winner` only.")
    reason: str = Field(min_length=1, max_length=2_000)
    override_reason: str | None = Field(
        None,
        min_length=1,
        max_length=2_000,
        description="Why there is a winner although people were not divided as planned.",
    )
