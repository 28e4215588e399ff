"""What a service tells about its own use, for the maturity assessment to set beside claims.

``GET /internal/v1/evidence`` of every service that has any; the caller's token names the workspace.
Indicators have the ids of the questionnaire, which also holds their windows and level points; those
it does not ask for tell of use all the same.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from services.contracts.tracking import Channel


class Indicator(BaseModel):
    """One figure with what it rests on, so that a share over two cases is seen to be one."""

    id: str = Field(examples=["touchpoint_event_share"])
    kind: Literal["census", "sample"]
    value: float | None = Field(
        description="A share 0..1, or a count where the questionnaire asks for one; null when "
        "there is nothing to count."
    )
    numerator: int
    denominator: int | None = Field(description="Null for a plain count.")
    n: int = Field(description="Cases, for the questionnaire's `min_n`.")
    window_days: int


class SourceEvidence(BaseModel):
    """One source in the last seven days."""

    source_id: str
    channel: Channel | None
    has_plan: bool = Field(description="It runs a tracking plan now.")
    events: int = Field(description="Accepted.")
    violations: int = Field(description="Accepted although they broke the plan.")
    quarantined: int = Field(description="Set aside, for whichever reason, and not replayed.")
    last_at: datetime | None = Field(description="When the latest accepted event arrived.")


class Evidence(BaseModel):
    """Computed at the moment of the call, over the windows each indicator names."""

    computed_at: datetime
    indicators: list[Indicator]
    sources: list[SourceEvidence] = Field(default_factory=list)
    last_at: datetime | None = Field(
        None, description="When the newest event of the last seven days arrived: freshness."
    )
