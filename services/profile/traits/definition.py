"""What a workspace has registered of a trait, and which values fit. Pure."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.profile.traits.currencies import CURRENCIES

TraitType = Literal["string", "number", "boolean", "time", "list", "money", "object"]
Classification = Literal["plain", "personal", "sensitive", "minor"]
GATED: tuple[Classification, ...] = ("sensitive", "minor")
"""Classes that need a consent of their own and are not shown."""

TraitName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]


class Description(BaseModel):
    """What the trait means, for people."""

    model_config = ConfigDict(extra="forbid")

    en: str = Field("", max_length=1000)
    zh: str = Field("", max_length=1000)


class TraitDefinitionPut(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "type": "string",
                    "description": {"en": "Blood group", "zh": "血型"},
                    "classification": "sensitive",
                    "consent_purpose": "health_data",
                    "max_length": 3,
                }
            ]
        },
    )

    type: TraitType = Field(
        description="`time` is a text in ISO 8601; `money` is `{amount, currency}` with a number "
        "and a code of ISO 4217."
    )
    description: Description = Description()
    classification: Classification = Field(
        "plain",
        description="`personal` is for people to know. `sensitive` (health, religion, biometrics, "
        "finances …) and `minor` (of a child) are taken only with the consent named in "
        "`consent_purpose`, and are masked in answers and on the change feed.",
    )
    consent_purpose: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="The purpose a person must have granted before the trait is taken.",
    )
    max_length: int | None = Field(
        None, ge=1, le=8192, description="Of a text: characters; of a list: items."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.classification in GATED) != (self.consent_purpose is not None):
            raise ValueError(
                "consent_purpose belongs to the classes sensitive and minor, and to no other"
            )
        if self.max_length is not None and self.type not in ("string", "list"):
            raise ValueError("max_length belongs to the types string and list")
        return self


class TraitDefinition(TraitDefinitionPut):
    name: str = Field(examples=["blood_group"])


def objection(definition: TraitDefinitionPut, value: Any) -> str | None:
    """What is accepted in place of ``value``, or None where it fits. Null, which deletes, fits."""
    if value is None:
        return None
    if not _FITS[definition.type](value):
        return _ACCEPTED[definition.type]
    if definition.max_length is not None and len(value) > definition.max_length:
        unit = "characters" if definition.type == "string" else "items"
        return f"At most {definition.max_length} {unit} are accepted."
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_time(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_money(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"amount", "currency"}
        and _is_number(value["amount"])
        and isinstance(value["currency"], str)
        and value["currency"] in CURRENCIES
    )


_FITS: dict[TraitType, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "time": _is_time,
    "list": lambda value: isinstance(value, list),
    "money": _is_money,
    "object": lambda value: isinstance(value, dict),
}
_ACCEPTED: dict[TraitType, str] = {
    "string": "A text is accepted.",
    "number": "A number is accepted.",
    "boolean": "true or false is accepted.",
    "time": "A text in ISO 8601 is accepted: 2026-03-01T09:30:00Z.",
    "list": "A list is accepted.",
    "money": 'An object {"amount": 12.5, "currency": "EUR"} (ISO 4217) is accepted.',
    "object": "An object is accepted.",
}
