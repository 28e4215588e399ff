"""SQL of partners who are told of changes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.change_subscriptions.tables import ChangeSubscriptionRow as Row
from services.profile.feed.public import Place

_COLUMNS = (
    Row.subscription_id,
    Row.url,
    Row.types,
    Row.secret,
    Row.state,
    Row.offset,
    Row.entry,
    Row.sent_offset,
    Row.sent_entry,
    Row.attempts,
    Row.failing_since,
    Row.next_attempt_at,
    Row.last_answer,
    Row.created_at,
)


@dataclass(frozen=True, slots=True)
class Subscription:
    subscription_id: UUID
    url: str
    types: list[str]
    secret: str
    state: str
    offset: int
    entry: int
    sent_offset: int | None
    sent_entry: int | None
    attempts: int
    failing_since: datetime | None
    next_attempt_at: datetime
    last_answer: str
    created_at: datetime

    @property
    def place(self) -> Place:
        return Place(self.offset, self.entry)

    @property
    def sent(self) -> Place | None:
        """Where the request ends that was sent and not taken yet."""
        if self.sent_offset is None or self.sent_entry is None:
            return None
        return Place(self.sent_offset, self.sent_entry)


async def add(
    session: AsyncSession,
    workspace_id: UUID,
    subscription_id: UUID,
    *,
    url: str,
    types: list[str],
    secret: str,
    place: Place,
    now: datetime,
) -> None:
    await session.execute(
        insert(Row).values(
            workspace_id=workspace_id,
            subscription_id=subscription_id,
            url=url,
            types=types,
            secret=secret,
            state="active",
            offset=place.offset,
            entry=place.entry,
            next_attempt_at=now,
            created_at=func.now(),
        )
    )


async def find(
    session: AsyncSession, workspace_id: UUID, subscription_id: UUID
) -> Subscription | None:
    statement = select(*_COLUMNS).where(
        Row.workspace_id == workspace_id, Row.subscription_id == subscription_id
    )
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else Subscription(**row._mapping)


async def all_of(session: AsyncSession, workspace_id: UUID) -> list[Subscription]:
    """The oldest first."""
    statement = (
        select(*_COLUMNS).where(Row.workspace_id == workspace_id).order_by(Row.subscription_id)
    )
    return [Subscription(**row._mapping) for row in await session.execute(statement)]


async def change(
    session: AsyncSession, workspace_id: UUID, subscription_id: UUID, **values: Any
) -> bool:
    """Whether there is such a subscription."""
    changed = await session.execute(
        update(Row)
        .where(Row.workspace_id == workspace_id, Row.subscription_id == subscription_id)
        .values(**values)
        .returning(Row.subscription_id)
    )
    return changed.one_or_none() is not None


async def remove(session: AsyncSession, workspace_id: UUID, subscription_id: UUID) -> bool:
    gone = await session.execute(
        delete(Row)
        .where(Row.workspace_id == workspace_id, Row.subscription_id == subscription_id)
        .returning(Row.subscription_id)
    )
    return gone.one_or_none() is not None
