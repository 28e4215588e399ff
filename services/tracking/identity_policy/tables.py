"""The table of the identity policies that profile told."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from services.tracking.tables import Moment, Table


class IdentityPolicyRow(Table):
    """Which identifiers a workspace knows, as profile told. A version never changes."""

    __tablename__ = "identity_policy"
    __table_args__ = (Index("ix_identity_policy_revision", "revision"),)

    workspace_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    namespaces: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    revision: Mapped[int] = mapped_column(BigInteger)
    received_at: Mapped[datetime] = mapped_column(Moment)
