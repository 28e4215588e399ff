"""Tables of subscription groups; who is in one stands in the consents."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Text
from sqlalchemy.orm import Mapped, mapped_column

from services.profile.tables import Table


class SubscriptionGroupRow(Table):
    """A kind of messages people are in or out of: purpose ``group:<group_id>`` in the consents."""

    __tablename__ = "subscription_group"

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    group_id: Mapped[UUID] = mapped_column(primary_key=True)
    names: Mapped[dict[str, Any]]
    channels: Mapped[list[str]] = mapped_column(ARRAY(Text))
    purpose: Mapped[str]
    default_state: Mapped[str]
    double_opt_in: Mapped[bool]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
