"""SQL for workspaces."""

from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.tables import WorkspaceRow
from gateway.workspaces.model import Workspace

_COLUMNS = (WorkspaceRow.id, WorkspaceRow.name, WorkspaceRow.created_at)


async def add(session: AsyncSession, workspace_id: UUID, name: str) -> None:
    await session.execute(insert(WorkspaceRow).values(id=workspace_id, name=name))


async def current(session: AsyncSession) -> Workspace:
    """The workspace the transaction works in; its fence lets no other be seen."""
    row = (await session.execute(select(*_COLUMNS))).one()
    return Workspace.model_validate(row._mapping)
