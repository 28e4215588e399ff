"""Predictions, clusterings and runs as the API shows them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from services.profile.predictions import store
from services.profile.predictions.model import Kind, Model, RunState


class Run(BaseModel):
    """One computation for everybody."""

    id: UUID
    state: RunState
    progress: float = Field(description="0 to 1.")
    as_of: datetime = Field(description="Nothing after this moment is taken into account.")
    people: int = Field(description="To how many people values were written so far.")
    attempt: int = Field(description="How often it was begun; again after a process died.")
    reason: str | None = Field(description="Why it failed.")
    metrics: dict[str, Any] = Field(
        description="How good it is, by kind. `clv`: the fitted parameters, and purchases foretold "
        "and observed in a holdout. `purchase`, `churn`: `auc`, `brier`, `calibration`: bins of "
        "people with the share foretold, the share observed and its interval. `rfm`: the matrix "
        "and tiers. `send_time`: hit rates on later events. `channel_preference`: rates by channel."
    )
    requested_at: datetime
    finished_at: datetime | None


class Prediction(BaseModel):
    """A definition, and how its last run went."""

    id: UUID
    name: str
    description: str
    kind: Kind
    model: Model
    refresh_hours: int | None
    created_at: datetime
    last_run: Run | None


class Text(BaseModel):
    en: str
    zh: str


class Difference(BaseModel):
    """One thing that sets a cluster apart from everybody else."""

    source: str = Field(description="`trait`, `behaviour` or `preference`.")
    feature: str
    value: str | bool | None = Field(description="For a trait of words: the word.")
    inside: float = Field(description="Mean in the cluster; for a word the share that has it.")
    outside: float = Field(description="The same among the others.")
    z: float = Field(description="The difference in standard deviations of everybody.")
    lift: float | None = Field(description="For a word: `inside / outside`.")
    text: Text


class Cluster(BaseModel):
    """A proposed segment."""

    number: int = Field(description="From 1, the largest first; `computed.<name>` in rules.")
    people: int
    share: float = Field(description="Of all people of the workspace.")
    title: Text
    differences: list[Difference] = Field(description="The largest first.")
    rule: dict[str, Any] | None = Field(
        description="A simple rule that describes it, where one does."
    )
    rule_precision: float | None = Field(description="Share of whom the rule names that belong.")
    rule_recall: float | None = Field(description="Share of the cluster that the rule names.")


class Clustering(BaseModel):
    """Groups of people who are alike, as of one moment."""

    id: UUID
    name: str
    definition: dict[str, Any] = Field(description="As it was asked for.")
    created_at: datetime
    run: Run | None
    silhouette: float | None = Field(description="-1 to 1; how well the clusters are parted.")
    silhouette_by_clusters: dict[str, float] = Field(description="For each number that was tried.")
    unassigned: int = Field(description="People in no cluster (hdbscan).")
    clusters: list[Cluster] = Field(description="Empty until the run is done.")


def run(stored: store.Run) -> Run:
    return Run(
        id=stored.run_id,
        state=stored.state,
        progress=round(stored.progress, 3),
        as_of=stored.as_of,
        people=stored.people,
        attempt=stored.attempt,
        reason=stored.reason,
        metrics=stored.metrics,
        requested_at=stored.requested_at,
        finished_at=stored.finished_at,
    )


def prediction(stored: store.Prediction, last: store.Run | None) -> Prediction:
    return Prediction.model_validate(
        {
            "id": stored.prediction_id,
            "name": stored.name,
            "description": stored.description,
            "kind": stored.kind,
            "model": stored.definition,
            "refresh_hours": stored.refresh_hours,
            "created_at": stored.created_at,
            "last_run": None if last is None else run(last),
        }
    )


def clustering(stored: store.Prediction, last: store.Run | None) -> Clustering:
    metrics = {} if last is None else last.metrics
    shown = None if last is None else run(last).model_copy(update={"metrics": {}})
    asked = {key: value for key, value in stored.definition.items() if key != "kind"}
    return Clustering.model_validate(
        {
            "id": stored.prediction_id,
            "name": stored.name,
            "definition": asked,
            "created_at": stored.created_at,
            "run": shown,
            "silhouette": metrics.get("silhouette"),
            "silhouette_by_clusters": metrics.get("silhouette_by_clusters", {}),
            "unassigned": metrics.get("unassigned", 0),
            "clusters": metrics.get("clusters", []),
        }
    )
