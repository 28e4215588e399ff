"""Consents as the API shows and takes them."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.profile import ConsentState
from services.kit.pagination import Page

Purpose = Annotated[
    str, Field(min_length=1, max_length=200, pattern=r"^([^*]|\*.)", examples=["marketing"])
]
Channel = Annotated[
    str,
    Field(
        pattern=r"^(\*|[a-z][a-z0-9_]{0,31})$",
        description="`email`, `sms`, `push`, `wecom` or a channel of your own, taken as it is "
        "named; `*`: all of them.",
        examples=["email"],
    ),
]
ContactPoint = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        description="The address or number; `*`: all of the person's on this channel.",
        examples=["ada@example.com"],
    ),
]
WordingId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", examples=["newsletter"])]
Version = Annotated[int, Field(ge=1, lt=2**31)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]
Evidence = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=500)]],
    Field(
        max_length=10,
        description="What else proves it, such as hashes of address and browser. Kept as given.",
        examples=[{"ip_hash": "9f2c…", "form": "checkout"}],
    ),
]


class WordingRef(BaseModel):
    """The text that was agreed to."""

    model_config = ConfigDict(extra="forbid")

    id: WordingId
    version: Version


class ConsentEntry(BaseModel):
    """A line of a person's consent ledger, which is only ever added to."""

    purpose: str = Field(examples=["marketing"])
    channel: str = Field(examples=["email"])
    contact_point: str = Field(examples=["*"])
    state: ConsentState
    at: datetime = Field(description="Time of the event that said it.")
    source_id: str = Field(description="The source the event came from; `api`: said through here.")
    message_id: str
    wording: WordingRef | None
    language: str | None
    actor: str | None = Field(description="Who said it through the API, or `link`.")
    evidence: dict[str, str]


class ConsentLine(BaseModel):
    """What counts at one level."""

    purpose: str
    channel: str
    contact_point: str
    state: ConsentState
    at: datetime


class ContactConsent(BaseModel):
    """What it comes to at a contact point, which is what a send asks."""

    purpose: str
    channel: str
    contact_point: str
    state: ConsentState | None = Field(description="Null where nothing was said: not granted.")


class ConsentPage(Page[ConsentEntry]):
    """The ledger, the latest line first."""

    current: dict[str, ConsentState] = Field(
        description="By purpose, as the rule field `consent.<purpose>` reads it: `granted` where "
        "the person may be written to on some channel."
    )
    lines: list[ConsentLine] = Field(description="What counts now, level by level.")
    contact_points: list[ContactConsent]
    non_personalised: bool = Field(description="No segment, no trait, no choice of content by them")
    regime: Literal["gdpr", "pipl", "opt_out"] = Field(description="The law that applies.")


class ConsentCreate(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "purpose": "marketing",
                    "channel": "email",
                    "state": "granted",
                    "evidence": {"form": "checkout"},
                },
                {
                    "purpose": "marketing",
                    "channel": "email",
                    "contact_point": "ada@example.com",
                    "state": "granted",
                    "wording": {"id": "newsletter", "version": 1},
                    "language": "en",
                    "evidence": {"form": "checkout"},
                },
            ]
        },
    )

    purpose: Purpose
    channel: Channel = "*"
    contact_point: ContactPoint = "*"
    state: ConsentState = Field(
        description="`pending`: asked for, and to be confirmed by a link (double opt-in)."
    )
    confirmed: bool = Field(
        False, description="You know that the contact point's owner confirmed a double opt-in."
    )
    wording: WordingRef | None = None
    language: Language | None = None
    evidence: Evidence | None = None


class ConsentSaid(BaseModel):
    """A statement that is durable. A withdrawal is in force when this is answered."""

    message_id: str = Field(description="Of the event in the log and of the ledger's line.")
    profile_id: UUID
    at: datetime
    applied: bool = Field(
        description="Whether reads show it already; else they will, and nothing more is to be done."
    )


class WordingTexts(BaseModel):
    """At least one language."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"en": "Yes, send me news by email.", "zh": "我同意接收新闻邮件。"}]
        },
    )

    en: str | None = Field(None, min_length=1, max_length=20_000)
    zh: str | None = Field(None, min_length=1, max_length=20_000)


class Wording(BaseModel):
    """A text people agree to."""

    id: str
    version: int
    texts: WordingTexts
    in_use: bool = Field(description="Somebody agreed to it: it cannot be changed any more.")
    created_at: datetime
    updated_at: datetime


class ConsentPolicy(BaseModel):
    """What the law takes for granted, by where people live."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "region": "gdpr",
                    "countries": {"CN": "pipl", "US": "opt_out"},
                    "presumed_purposes": ["marketing"],
                    "sensitive_purposes": ["health_offers"],
                }
            ]
        },
    )

    region: Literal["gdpr", "pipl", "opt_out"] = Field(
        "gdpr", description="For people whose country nothing tells, or is not listed below."
    )
    countries: dict[
        Annotated[str, Field(pattern=r"^[A-Z]{2}$")], Literal["gdpr", "pipl", "opt_out"]
    ] = Field(
        default_factory=dict,
        max_length=250,
        description="By ISO 3166 code; a person's comes from the trait `country`, else `phone`.",
    )
    presumed_purposes: list[Purpose] = Field(
        default_factory=list,
        max_length=50,
        description="Allowed under `opt_out` until withdrawn.",
    )
    sensitive_purposes: list[Purpose] = Field(
        default_factory=list,
        max_length=50,
        description="Never presumed; under `pipl` a grant counts only if it was given on its own.",
    )
