"""What the assessment service says on the wire to the other services."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

ReadinessMode = Literal["off", "warn", "enforce"]
ReadinessStatus = Literal["full", "pilot", "unknown"]
ReadinessCode = Literal[
    "not_assessed", "level_below_3", "level_gated_below_3", "item_too_low", "item_not_scored"
]


class ReadinessReason(BaseModel):
    """One thing that stands between the organization and full readiness."""

    code: ReadinessCode
    item_id: str | None = Field(
        None, description="The questionnaire item it is about, if any.", examples=["GOV6"]
    )
    score: float | None = Field(
        None, description="What was found: an item's score in 1..5, or a level.", examples=[2.5]
    )
    needed: float | None = Field(None, description="What full readiness needs.", examples=[3.0])
    en: str = Field(
        description="The reason as a sentence.",
        examples=["The maturity level is 2, and full orchestration needs level 3."],
    )
    zh: str = Field(
        description="The same sentence in Chinese.",
        examples=["当前成熟度为 2 级,全面编排需要达到 3 级。"],
    )


class Readiness(BaseModel):
    """How far an organization may orchestrate over many channels, and what it still misses.

    Where a journey uses more distinct configured channels than `max_channels`, mode `warn`
    publishes it with the `reasons` as a warning and mode `enforce` refuses it with them. A null
    `max_channels` never acts.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "workspace_id": "0199f0c2-5a52-7c3e-9f3a-0d6f1f1c2b7a",
                    "level": 2,
                    "level_gated": 2,
                    "status": "pilot",
                    "max_channels": 2,
                    "mode": "warn",
                    "reasons": [
                        {
                            "code": "level_below_3",
                            "item_id": None,
                            "score": 2,
                            "needed": 3,
                            "en": "The maturity level is 2, and full orchestration needs level 3.",
                            "zh": "当前成熟度为 2 级,全面编排需要达到 3 级。",
                        }
                    ],
                    "assessment_id": "0199f0c2-5a52-7c3e-9f3a-0d6f1f1c2b7b",
                    "assessed_at": "2026-03-02T09:30:00Z",
                }
            ]
        }
    )

    workspace_id: UUID
    level: int | None = Field(
        description="Reported maturity level 1 to 5; null while no assessment yields one."
    )
    level_gated: int | None = Field(description="The level the organization can rely on.")
    status: ReadinessStatus = Field(
        description="`full`; `pilot`: one or two channels first; `unknown`: not assessed yet."
    )
    max_channels: int | None = Field(
        description="Distinct configured channels a journey may use before `mode` acts. "
        "2 in mode `warn` below level 3 (or without a level) and in mode `enforce` unless "
        "`status` is `full`; else null, no limit."
    )
    mode: ReadinessMode = Field(
        description="What happens above `max_channels`: nothing, a warning, or a refusal."
    )
    reasons: list[ReadinessReason] = Field(
        description="Everything full readiness still misses; empty when `status` is `full`."
    )
    assessment_id: UUID | None = Field(description="The assessment the level comes from.")
    assessed_at: datetime | None = Field(description="When its latest answer was given.")
