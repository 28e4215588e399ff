"""What may happen to subscription groups, and where people stand with them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.ids import uuid7
from services.profile.consents.decide import Said, on_channels
from services.profile.consents.policy import group_purpose
from services.profile.consents.service import Picture, Wish, granting, withdrawing
from services.profile.errors import SubscriptionGroupNotFound
from services.profile.stream import store as stream
from services.profile.subscriptions import store
from services.profile.subscriptions.model import (
    Subscription,
    SubscriptionGroup,
    SubscriptionGroupWrite,
)

FIRST = UUID(int=0)


async def create(
    session: AsyncSession,
    workspace_id: UUID,
    said: SubscriptionGroupWrite,
    now: datetime,
    idempotency_key: str | None,
) -> SubscriptionGroup:
    """The same key makes one group."""
    group_id = uuid7()
    if idempotency_key is not None:
        group_id = uuid5(workspace_id, f"subscription-group:{idempotency_key}")
    # Blocks of the log read the groups: none may be half-way through one.
    await stream.lock(session, workspace_id)
    await store.add(session, workspace_id, group_id, _values(said), now)
    return await read(session, workspace_id, group_id)


async def replace(
    session: AsyncSession,
    workspace_id: UUID,
    group_id: UUID,
    said: SubscriptionGroupWrite,
    now: datetime,
) -> SubscriptionGroup:
    await stream.lock(session, workspace_id)
    await store.replace(session, workspace_id, group_id, _values(said), now)
    return await read(session, workspace_id, group_id)


def _values(said: SubscriptionGroupWrite) -> Mapping[str, Any]:
    return {
        "names": said.names.model_dump(),
        "channels": said.channels,
        "purpose": said.purpose,
        "default_state": said.default,
        "double_opt_in": said.double_opt_in,
    }


async def read(session: AsyncSession, workspace_id: UUID, group_id: UUID) -> SubscriptionGroup:
    found = await store.find(session, workspace_id, group_id)
    if found is None:
        raise SubscriptionGroupNotFound(
            f"Subscription group {group_id} does not exist.", group_id=str(group_id)
        )
    return found


async def subscriptions(
    session: AsyncSession, workspace_id: UUID, whole: Picture
) -> list[Subscription]:
    """Where a person stands with every group of the workspace."""
    groups = await store.page(session, workspace_id, FIRST, None)
    return [subscription(group, whole) for group in groups]


def subscription(group: SubscriptionGroup, whole: Picture) -> Subscription:
    purpose = group.consent_purpose
    presumed = purpose in whole.standing.presumed
    return Subscription(
        group_id=group.id,
        names=group.names,
        channels=group.channels,
        double_opt_in=group.double_opt_in,
        state=on_channels(whole.said, purpose, group.channels, presumed),
    )


def wishes(
    said: Said, subscription: Subscription, subscribed: bool, *, confirmed: bool, actor: str
) -> list[Wish]:
    """The statements that join or leave a group."""
    purpose = group_purpose(subscription.group_id)
    if not subscribed:
        return withdrawing(purpose, actor=actor)
    waits = subscription.double_opt_in and not confirmed
    return granting(
        said,
        purpose,
        subscription.channels,
        state="pending" if waits else "granted",
        confirmed=confirmed,
        actor=actor,
    )
