"""What an assessment looks like to its callers."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.assessment.questionnaires.library import DEFAULT_ID

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Scope(BaseModel):
    """The part of the organization that is assessed."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["company", "unit", "team"] = Field(
        default="company", description="Readiness follows assessments of the whole `company`."
    )
    name: Name | None = Field(
        default=None, description="Needed for a unit or a team.", examples=["Customer service"]
    )

    @model_validator(mode="after")
    def parts_have_a_name(self) -> Self:
        if self.kind != "company" and self.name is None:
            raise ValueError(f"a {self.kind} needs a name")
        return self


class AssessmentCreate(BaseModel):
    """A new assessment; answers can be posted at once."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Spring 2026",
                    "questionnaire_id": "journey-maturity",
                    "scope": {"kind": "company"},
                }
            ]
        },
    )

    name: Name = Field(examples=["Spring 2026"])
    questionnaire_id: str = Field(
        default=DEFAULT_ID, max_length=64, description="From `GET /api/v1/questionnaires`."
    )
    scope: Scope = Field(default_factory=Scope)


class Assessment(BaseModel):
    id: UUID
    name: str
    questionnaire_id: str
    questionnaire_version: str = Field(description="Answers are scored with this version.")
    scope: Scope
    status: Literal["open", "closed"] = Field(description="A closed one takes no more answers.")
    responses: int = Field(description="How many people have answered, in part or in full.")
    created_at: datetime
    closed_at: datetime | None
