"""SQL for message templates."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.message_templates.extras import Extras
from services.orchestrator.message_templates.render import Parts
from services.orchestrator.message_templates.tables import MessageTemplateRow

COLUMNS = (
    MessageTemplateRow.id,
    MessageTemplateRow.name,
    MessageTemplateRow.subject,
    MessageTemplateRow.text,
    MessageTemplateRow.html,
    MessageTemplateRow.mjml,
    MessageTemplateRow.extras,
    MessageTemplateRow.created_at,
    MessageTemplateRow.updated_at,
)


class MessageTemplate(BaseModel):
    id: UUID
    name: str = Field(examples=["Offer reminder"])
    subject: str = Field(examples=["{{ profile.traits.first_name | default: 'Hello' }}, still on"])
    text: str | None = Field(description="Null: made from the html, for each message.")
    html: str | None = Field(description="Of MJML, what it was compiled to.")
    mjml: str | None
    extras: Extras | None
    created_at: datetime
    updated_at: datetime


async def add(session: AsyncSession, workspace_id: UUID, values: dict[str, Any]) -> MessageTemplate:
    """Adds it, or finds the one an earlier call with the same id made."""
    await session.execute(
        insert(MessageTemplateRow)
        .values(workspace_id=workspace_id, **values)
        .on_conflict_do_nothing(index_elements=["id"])
    )
    found = await find(session, values["id"])
    assert found is not None
    return found


async def find(session: AsyncSession, template_id: UUID) -> MessageTemplate | None:
    statement = select(*COLUMNS).where(
        MessageTemplateRow.id == template_id, MessageTemplateRow.archived_at.is_(None)
    )
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else MessageTemplate(**row._mapping)


async def page(session: AsyncSession, after: UUID | None, limit: int) -> list[MessageTemplate]:
    """By id, newest first."""
    statement = select(*COLUMNS).where(MessageTemplateRow.archived_at.is_(None))
    if after is not None:
        statement = statement.where(MessageTemplateRow.id < after)
    rows = await session.execute(statement.order_by(MessageTemplateRow.id.desc()).limit(limit))
    return [MessageTemplate(**row._mapping) for row in rows]


async def change(
    session: AsyncSession, template_id: UUID, values: dict[str, Any]
) -> MessageTemplate | None:
    await session.execute(
        update(MessageTemplateRow)
        .where(MessageTemplateRow.id == template_id)
        .values(**values, updated_at=func.now())
    )
    return await find(session, template_id)


async def sources(session: AsyncSession, template_ids: Collection[UUID]) -> dict[UUID, Parts]:
    """What is to be rendered, by id; archived ones too, as journeys may still use them."""
    statement = select(*COLUMNS).where(MessageTemplateRow.id.in_(template_ids))
    rows = await session.execute(statement)
    return {row.id: Parts(row.subject, row.text, row.html, row.extras) for row in rows}


async def existing(session: AsyncSession, template_ids: Collection[UUID]) -> set[UUID]:
    statement = select(MessageTemplateRow.id).where(
        MessageTemplateRow.id.in_(template_ids), MessageTemplateRow.archived_at.is_(None)
    )
    return set(await session.scalars(statement))


async def names(session: AsyncSession, template_ids: Collection[UUID]) -> dict[UUID, str]:
    """Name by id, of those that are not archived."""
    statement = select(MessageTemplateRow.id, MessageTemplateRow.name).where(
        MessageTemplateRow.id.in_(template_ids), MessageTemplateRow.archived_at.is_(None)
    )
    return {row.id: row.name for row in await session.execute(statement)}


async def named(session: AsyncSession, names: Collection[str]) -> list[tuple[str, UUID]]:
    """Those of these names that are not archived; a name may be there more than once."""
    statement = select(MessageTemplateRow.name, MessageTemplateRow.id).where(
        MessageTemplateRow.name.in_(names), MessageTemplateRow.archived_at.is_(None)
    )
    return [(row.name, row.id) for row in await session.execute(statement)]
