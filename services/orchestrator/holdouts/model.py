"""Holdouts and their lift reports as the API shows and takes them."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.orchestrator.experiments.results_model import Lift
from services.rules.bucket import BUCKETS


class HoldoutPut(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"percent": 5}]})

    percent: float = Field(
        ge=0,
        le=50,
        allow_inf_nan=False,
        description="Share of all people, to a hundredth; 0 ends the holdout.",
    )

    @property
    def buckets(self) -> int:
        return round(self.percent * BUCKETS / 100)


class Membership(BaseModel):
    """People whose bucket is in this range were held out during this time."""

    model_config = ConfigDict(from_attributes=True)

    from_bucket: int
    to_bucket: int = Field(description="Exclusive; there are 10,000 buckets.")
    valid_from: datetime
    valid_to: datetime | None = Field(description="Null while they are held out.")


class Holdout(BaseModel):
    """People who do not enter journeys, so that what journeys do can be measured against them."""

    journey_id: UUID | None = Field(description="Null for the global holdout.")
    percent: float
    salt: str = Field(
        description="A person's bucket is the first 8 bytes of SHA-256(salt, NUL, profile id), "
        "big-endian, modulo 10,000."
    )
    membership: list[Membership] = Field(description="Who was held out when, the latest first.")


class ArmResult(BaseModel):
    people: int = Field(description="Who entered, or would have; each once.")
    mixed: int = Field(description="Those who turned out to be one with somebody of another arm.")
    reached: int = Field(description="Who reached the goal within its window.")


class Comparison(BaseModel):
    treated: ArmResult
    held_out: ArmResult
    lift: Lift | None = Field(
        description="Of the treated over the held out, in shares of people. Null before both have "
        "100 people."
    )
    incremental: float | None = Field(
        description="People who reached the goal because of it: the lift times the treated."
    )


class GoalLift(BaseModel):
    goal: str
    journey: Comparison = Field(
        description="Those let in against those whom the journey's own holdout kept out."
    )
    overall: Comparison = Field(
        description="Everybody outside the global holdout against those in it: what all journeys "
        "together do to this goal."
    )


class LiftReport(BaseModel):
    """By intention to treat: who would have entered counts, capped or not, from that moment on."""

    alpha: float = Field(description="How often an interval may miss the truth, looks included.")
    goals: list[GoalLift] = Field(
        description="Goals of an event with a window; others cannot be seen in those held out."
    )
