"""A journey as a file."""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.kit.problems import FieldError
from services.orchestrator.journeys.graph import Graph
from services.orchestrator.journeys.model import EXAMPLE_GRAPH


class References(BaseModel):
    """Names of what the graph mentions by id, so that the file can be applied elsewhere, where the
    ids are others. An id that is known is taken as it is; others are looked for by name."""

    model_config = ConfigDict(extra="forbid")

    channels: dict[UUID, str] = Field(default_factory=dict, max_length=200)
    templates: dict[UUID, str] = Field(default_factory=dict, max_length=200)
    experiments: dict[UUID, str] = Field(default_factory=dict, max_length=200)
    journeys: dict[UUID, str] = Field(
        default_factory=dict, max_length=200, description="By their keys."
    )


class JourneyFileBody(BaseModel):
    """Segments are mentioned by their ids, which are the profile service's."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "graph": EXAMPLE_GRAPH,
                    "references": {
                        "channels": {"0199f0c2-5a52-7c3e-9f3a-0d6f1f1c2b7a": "Mail"},
                        "templates": {"0199f0c2-5a52-7c3e-9f3a-0d6f1f1c2b7b": "Reminder"},
                    },
                }
            ]
        },
    )

    graph: Graph
    references: References = Field(default_factory=References)


class JourneyFile(BaseModel):
    key: str = Field(examples=["welcome"])
    graph: dict[str, Any] = Field(description="The draft.")
    references: References


class FileEdit(BaseModel):
    place: str = Field(description="A node's id, or what of the journey: `entry`, `goals` …")
    change: Literal["added", "removed", "changed"]
    fields: list[str] = Field(description="Of a changed node.")


class Applied(BaseModel):
    """What applying the file did, or would do."""

    key: str
    journey_id: UUID | None = Field(description="Null for one that would be created.")
    action: Literal["created", "changed", "unchanged"]
    edits: list[FileEdit] = Field(description="Against the draft there was.")
    before: dict[str, Any] | None = Field(description="The draft there was.")
    after: dict[str, Any] = Field(description="The draft there is now, with this place's ids.")
    problems: list[FieldError] = Field(description="What stands against publishing it.")
    live: Literal["never", "same", "differs"] = Field(
        description="Whether the version people enter is this draft."
    )
