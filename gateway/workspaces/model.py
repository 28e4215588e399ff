"""Workspaces on the wire."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field


class Workspace(BaseModel):
    """The tenant: everything in the platform belongs to exactly one."""

    id: UUID
    name: str = Field(examples=["Default"])
    created_at: datetime
