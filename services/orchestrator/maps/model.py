"""What a journey map is: a document of stages and lanes whose cells may be bound to data."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.contracts.rules import EventNode, Group

MapType = Literal["current_state", "future_state", "day_in_the_life", "service_blueprint"]
Locale = Literal["en", "zh"]
ItemId = str


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Text(_Part):
    """The same words in both languages; one of them may be missing."""

    en: str = Field("", max_length=2000, examples=["Website"])
    zh: str = Field("", max_length=2000, examples=["网站"])

    @model_validator(mode="after")
    def _not_empty(self) -> "Text":
        if not (self.en or self.zh):
            raise ValueError("write the text in en, in zh, or in both")
        return self

    def in_locale(self, locale: Locale) -> str:
        """The text in ``locale``, in the other language where it is missing."""
        return (self.zh or self.en) if locale == "zh" else (self.en or self.zh)


class Item(_Part):
    """A line of a lane: a behaviour, an insight question."""

    id: ItemId = Field(min_length=1, max_length=64, examples=["aw_b1"])
    text: Text


class Kpi(Item):
    metric: str | None = Field(
        None, max_length=64, description="Id in the metric registry.", examples=["website_traffic"]
    )


class Touchpoint(Item):
    """Where customer and company meet. Without a signal it is an assumption."""

    channel: str = Field("", max_length=64, examples=["web"])
    signal: EventNode | None = Field(
        None,
        description="The event that is seen when somebody is here; `did`, `count` and `window` "
        "stay out.",
        examples=[{"event": "Page Viewed"}],
    )


class Stage(_Part):
    id: ItemId = Field(min_length=1, max_length=64, examples=["awareness"])
    name: Text
    company_goal: Text | None = None
    entry: Group | None = Field(
        None, description="Who is in this stage; published to profiles as exclusive stages."
    )
    stalls_after_days: float | None = Field(
        None,
        gt=0,
        le=3650,
        description="Who stays in the stage for longer has stalled; published with `entry`.",
        examples=[14],
    )
    behaviours: list[Item] = Field(default_factory=list, max_length=50)
    touchpoints: list[Touchpoint] = Field(default_factory=list, max_length=50)
    kpis: list[Kpi] = Field(default_factory=list, max_length=50)
    insights: list[Item] = Field(default_factory=list, max_length=50)


class MapDocument(_Part):
    """The map itself, as it is read, written and exported."""

    name: Text
    type: MapType = "current_state"
    goal: Text | None = Field(None, description="What the customer wants to complete.")
    scenario: Text | None = None
    stages: list[Stage] = Field(min_length=1, max_length=50)

    @model_validator(mode="after")
    def _unique_ids(self) -> "MapDocument":
        seen: set[str] = set()
        for index, stage in enumerate(self.stages):
            for kind, items in (
                ("stages", [stage]),
                ("behaviours", stage.behaviours),
                ("touchpoints", stage.touchpoints),
                ("kpis", stage.kpis),
                ("insights", stage.insights),
            ):
                for item in items:
                    if item.id in seen:
                        raise ValueError(
                            f"id {item.id!r} stands twice (stage {index}, {kind}); ids are unique "
                            "within a map"
                        )
                    seen.add(item.id)
        return self

    def touchpoint(self, touchpoint_id: str) -> Touchpoint | None:
        for stage in self.stages:
            for touchpoint in stage.touchpoints:
                if touchpoint.id == touchpoint_id:
                    return touchpoint
        return None


class MapCreate(_Part):
    """A new map: from a built-in template, or a document of your own."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"template_id": "lifecycle5", "name": {"en": "Rewards", "zh": "会员奖励"}},
            ]
        },
    )

    template_id: str | None = Field(None, max_length=64)
    name: Text | None = Field(None, description="With `template_id`: replaces the template's name.")
    document: MapDocument | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "MapCreate":
        if (self.template_id is None) == (self.document is None):
            raise ValueError("give either template_id or document")
        return self


class MapReplace(_Part):
    """The whole new document; ``version`` is the one it was made from."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "version": 1,
                    "document": {
                        "name": {"en": "Rewards"},
                        "stages": [{"id": "awareness", "name": {"en": "Awareness"}}],
                    },
                }
            ]
        },
    )

    version: int = Field(ge=1, le=2_147_483_647)
    document: MapDocument


class JourneyMap(_Part):
    id: UUID
    version: int = Field(description="Counts the changes; send it back with a change.")
    created_at: datetime
    updated_at: datetime
    document: MapDocument


class MapSummary(_Part):
    id: UUID
    version: int
    name: Text
    type: MapType
    updated_at: datetime


class TemplateSummary(_Part):
    id: str
    name: Text
    stages: list[Text]


class SignalBinding(_Part):
    """Binds a touchpoint to the event that shows it; null makes it an assumption again."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"signal": {"event": "Offer Viewed"}}]},
    )

    signal: EventNode | None


Grade = Literal["assumed", "observed"]


class Interval(_Part):
    """95 % Wilson score interval of a share."""

    low: float
    high: float


class TouchpointNumbers(_Part):
    touchpoint_id: str
    grade: Grade
    count: int | None = Field(None, description="How often; null for an assumption.")
    people: int | None = None
    last_at: datetime | None = None


class StageNumbers(_Part):
    stage_id: str
    grade: Grade
    people: int | None = Field(
        None, description="People who came this far: through every observed stage before, in order."
    )
    conversion: float | None = Field(
        None, description="Share of the people of the observed stage before, 0..1."
    )
    interval: Interval | None = None
    n: int | None = Field(None, description="People of the observed stage before: the base.")


class Overlay(_Part):
    """Live numbers of a map. What is not bound to a signal is graded `assumed`, without numbers."""

    map_id: UUID
    version: int
    since: datetime
    until: datetime
    measured_at: datetime
    touchpoints: list[TouchpointNumbers]
    stages: list[StageNumbers]
