"""What one person answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.assessment.questionnaires.model import Excluded

Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]
Respondent = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Answer(BaseModel):
    """The answer to one item: either the number of the statement that fits, or why it has none."""

    model_config = ConfigDict(extra="forbid")

    item_id: str = Field(max_length=64, examples=["CUL1"])
    score: int | None = Field(
        default=None,
        ge=1,
        le=5,
        strict=True,
        description="1 to 5: which of the item's five anchors describes the last three months.",
        examples=[3],
    )
    excluded: Excluded | None = Field(
        default=None, description="Instead of `score`: an answer that is kept and not scored."
    )
    note: Note | None = Field(
        default=None, description="An example or a link; asked for with 4 and 5."
    )

    @model_validator(mode="after")
    def either_score_or_reason(self) -> Self:
        if (self.score is None) == (self.excluded is None):
            raise ValueError("give either score or excluded")
        return self


class ResponsePut(BaseModel):
    """A person's answers as a whole; items that are left out are unanswered."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "respondent_group": "marketing",
                    "answers": [
                        {"item_id": "CUL1", "score": 3},
                        {"item_id": "GOV5", "score": 4, "note": "Consent audit of March"},
                        {"item_id": "TOO4", "excluded": "dont_know"},
                    ],
                }
            ]
        },
    )

    respondent_group: str = Field(
        max_length=64,
        description="An id of the questionnaire's `respondent_groups`; groups count equally.",
        examples=["marketing"],
    )
    answers: list[Answer] = Field(max_length=500)


class ResponseCreate(ResponsePut):
    model_config = ConfigDict(extra="forbid")

    respondent: Respondent | None = Field(
        default=None,
        description="Your own key of this person; the same key cannot answer twice. Left out: "
        "anonymous.",
        examples=["panel-017"],
    )


class Response(BaseModel):
    id: UUID
    assessment_id: UUID
    respondent: str | None
    respondent_group: str
    answers: list[Answer]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Given:
    """A stored response as scoring needs it; checked when it came in, so not checked again."""

    respondent_group: str
    scores: Mapping[str, int]
    excluded: Mapping[str, str]
    updated_at: datetime
