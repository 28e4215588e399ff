"""Receipts as they come in and as the API shows them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

ReceiptKind = Literal[
    "delivered", "opened", "clicked", "bounced", "complained", "unsubscribed", "failed"
]


@dataclass(frozen=True, slots=True)
class NewReceipt:
    """Something that became of a message. Its key in the database is (message, kind, key)."""

    message_id: UUID
    kind: ReceiptKind
    at: int
    """ms."""
    key: str = ""
    automated: bool = False
    detail: Mapping[str, Any] = field(default_factory=dict)


class Receipt(BaseModel):
    """One thing that became of a message."""

    model_config = ConfigDict(from_attributes=True)

    kind: ReceiptKind
    key: str = Field(
        description="Tells receipts of one kind apart: the number of the link, counted from 0; "
        "`…:automated` where a program opened or clicked.",
        examples=["0"],
    )
    automated: bool = Field(
        description="A program did it, as far as we can tell: a mail proxy that loads every image, "
        "a scanner, a prefetch. Leave these out where you count people."
    )
    at: datetime = Field(description="The first time.")
    last_at: datetime = Field(description="The latest time.")
    count: int = Field(description="How often: only the first time is told to the log.")
    detail: dict[str, Any] = Field(
        description="What is known besides: `url` of a click, `by` of an automated one.",
        examples=[{"link": 0, "url": "https://shop.example/offer"}],
    )


class Receipts(BaseModel):
    items: list[Receipt] = Field(description="The first that came in first.")
