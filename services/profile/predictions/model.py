"""What can be asked for: predictions of six kinds, and clusterings, as data."""

from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Kind = Literal["clv", "rfm", "purchase", "churn", "send_time", "channel_preference"]
RunState = Literal["queued", "running", "done", "failed"]

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,59}$"


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("use an IANA time zone name such as Asia/Shanghai")
    return name


Timezone = Annotated[
    str,
    AfterValidator(_zone),
    Field(description="IANA name; days and hours are drawn in it.", examples=["Asia/Shanghai"]),
]
EventName = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]
PropertyPath = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
Horizon = Annotated[
    int, Field(ge=1, le=730, description="How many days ahead is foretold.", examples=[90])
]
Name = Annotated[
    str,
    Field(
        pattern=NAME_PATTERN,
        description="Unique in the workspace; people's values are `computed.<name>` in rules.",
        examples=["clv_90d"],
    ),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Currency(_Body):
    """Counts only purchases in one currency; sums of several mean nothing."""

    property: PropertyPath = "currency"
    code: str = Field(min_length=1, max_length=20, examples=["CNY"])


class Purchases(_Body):
    """Which events are purchases and what they are worth. Those of one day count as one."""

    event: EventName = Field(description="Name of the event.", examples=["Order Completed"])
    value: PropertyPath = Field(
        description="Path of the money in the event's properties.", examples=["total"]
    )
    currency: Currency | None = None
    timezone: Timezone = "UTC"


class Clv(Purchases):
    """Customer lifetime value: the money a customer will bring within the horizon, by BG/NBD and
    Gamma-Gamma."""

    kind: Literal["clv"]
    horizon_days: Horizon = 365


class Rfm(Purchases):
    """Scores from 1 to 5 for recency, frequency and money, the cell of the matrix, the tier."""

    kind: Literal["rfm"]


class Propensity(_Body):
    """How probable it is that a person buys within the horizon (`purchase`), or that a customer
    does not (`churn`)."""

    kind: Literal["purchase", "churn"]
    event: EventName = Field(description="Name of the purchase.", examples=["Order Completed"])
    value: PropertyPath | None = None
    currency: Currency | None = None
    timezone: Timezone = "UTC"
    horizon_days: Horizon = 30


class SendTime(_Body):
    """The hour of the week at which a person is most active."""

    kind: Literal["send_time"]
    events: list[EventName] = Field(
        default_factory=list,
        max_length=50,
        description="What counts as being active; any event but outcomes of journeys, if empty.",
    )
    timezone: Timezone = "UTC"
    history_days: int = Field(180, ge=14, le=730, description="How far back is looked.")


class ChannelPreference(_Body):
    """The channel whose messages a person answers most."""

    kind: Literal["channel_preference"]
    sent: list[EventName] = Field(default=["Message Sent"], min_length=1, max_length=20)
    engaged: list[EventName] = Field(
        default=["Message Opened", "Message Clicked"],
        min_length=1,
        max_length=20,
        description="Events that answer a message: both carry its `message_id`.",
    )
    history_days: int = Field(365, ge=14, le=730, description="How far back is looked.")


Model = Annotated[
    Clv | Rfm | Propensity | SendTime | ChannelPreference, Field(discriminator="kind")
]

_PURCHASES: dict[str, Any] = {
    "event": "Order Completed",
    "value": "total",
    "currency": {"property": "currency", "code": "CNY"},
    "timezone": "Asia/Shanghai",
}
PREDICTION_EXAMPLES: list[dict[str, Any]] = [
    {
        "name": "clv_90d",
        "description": "What customers will spend in the next 90 days",
        "refresh_hours": 24,
        "model": {"kind": "clv", **_PURCHASES, "horizon_days": 90},
    },
    {"name": "rfm", "model": {"kind": "rfm", **_PURCHASES}},
    {"name": "will_buy", "model": {"kind": "purchase", **_PURCHASES, "horizon_days": 30}},
    {"name": "will_leave", "model": {"kind": "churn", **_PURCHASES, "horizon_days": 60}},
    {"name": "best_hour", "model": {"kind": "send_time", "timezone": "Asia/Shanghai"}},
    {"name": "best_channel", "model": {"kind": "channel_preference"}},
]


class PredictionCreate(_Body):
    """A name and what to predict."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [*PREDICTION_EXAMPLES]}
    )

    name: Name
    description: str = Field("", max_length=2000)
    refresh_hours: int | None = Field(
        None, ge=1, le=8784, description="Run again so long after the last run; never, if null."
    )
    model: Model


class Behaviour(_Body):
    """Purchases as features: how many, how much, how large, how long ago."""

    event: EventName = Field(examples=["Order Completed"])
    value: PropertyPath | None = Field(None, examples=["total"])
    currency: Currency | None = None


CLUSTERING_EXAMPLE: dict[str, Any] = {
    "name": "spring_clusters",
    "traits": ["age", "plan"],
    "behaviour": {"event": "Order Completed", "value": "total"},
    "preferences": True,
    "algorithm": "kmeans",
}


class ClusteringCreate(_Body):
    """What people are compared by, and how. At least one of traits, behaviour, preferences."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [CLUSTERING_EXAMPLE]})

    name: Name
    traits: list[PropertyPath] = Field(
        default_factory=list,
        max_length=30,
        description="Demographics and other traits: numbers, or words with few values.",
    )
    behaviour: Behaviour | None = None
    preferences: bool = Field(False, description="At which times of day and week they are active.")
    timezone: Timezone = "UTC"
    algorithm: Literal["kmeans", "hdbscan"] = Field(
        "kmeans",
        description="`kmeans` puts everybody into one of 2 to `max_clusters` clusters, as many as "
        "have the largest silhouette; `hdbscan` finds dense groups and leaves the others out.",
    )
    max_clusters: int = Field(10, ge=2, le=10)
    min_share: float = Field(
        0.02, ge=0.001, le=0.5, description="hdbscan: the smallest group, as a share of all."
    )
