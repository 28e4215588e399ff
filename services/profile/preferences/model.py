"""What a person sees and changes by the links of messages, without logging in."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.profile import ConsentState
from services.profile.subscriptions.model import GroupNames, Subscription


class LinkedConsent(BaseModel):
    """What a link is about, and how it stands now."""

    purpose: str = Field(examples=["marketing"])
    channel: str = Field(examples=["email"])
    group: GroupNames | None = Field(description="The subscription group's names, where it is one.")
    state: ConsentState | None = Field(description="Null: nothing was said yet.")


class Preferences(BaseModel):
    """Data of a preference page. GroupNames come in English and Chinese."""

    groups: list[Subscription]
    purposes: dict[str, ConsentState] = Field(
        description="Other purposes something was said about, such as `marketing`."
    )
    non_personalised: bool = Field(
        description="True: contents are general and not chosen by traits, segments or predictions."
    )


class PreferencesPatch(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"purposes": {"marketing": False}},
                {
                    "groups": {"019a4f1e-7d0a-7c55-9b1e-0e3f6c2d9a11": False},
                    "purposes": {"marketing": True},
                    "non_personalised": True,
                },
            ]
        },
    )

    groups: dict[UUID, bool] = Field(default_factory=dict, max_length=100)
    purposes: dict[str, bool] = Field(
        default_factory=dict,
        max_length=20,
        description="Only purposes that the page shows; false withdraws on every channel.",
    )
    non_personalised: bool | None = None


class LinkDone(BaseModel):
    """It is in force."""

    status: Literal["unsubscribed", "confirmed"]
