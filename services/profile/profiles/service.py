"""What may happen to a profile besides what events tell of it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.profile.errors import ProfileNotFound
from services.profile.feed import store as feed
from services.profile.identity import store as identity
from services.profile.profiles import store
from services.profile.rules import service as rules
from services.profile.rules.service import News, RuleCache
from services.profile.stream import store as stream


async def canonical(session: AsyncSession, workspace_id: UUID, profile_id: UUID) -> UUID:
    """The living profile behind an id, or ``ProfileNotFound``."""
    asked = str(profile_id)
    found = (await identity.canonical(session, workspace_id, [asked])).get(asked)
    if found is None:
        raise not_found(profile_id)
    return UUID(found)


async def change_traits(
    session: AsyncSession,
    workspace_id: UUID,
    profile_id: UUID,
    said: Mapping[str, Any],
    now_ms: int,
    cache: RuleCache,
) -> UUID:
    """Traits said now, by a person or a partner system: told on the feed like those of events."""
    place = await stream.lock(session, workspace_id)
    living = str(await canonical(session, workspace_id, profile_id))
    traits = (await store.load_traits(session, workspace_id, [living]))[living]
    traits.learn(said, now_ms)
    if not traits.changed:
        return UUID(living)
    await store.put_traits(session, workspace_id, living, traits)
    known = await cache.get(session, workspace_id, place.rules_revision)
    news = News()
    for key in traits.changed:
        news.touched.read(known, ("traits", key), living)
    settled = await rules.settle(session, workspace_id, known, news, now_ms)
    changed = {key: traits.values.get(key) for key in sorted(traits.changed)}
    updated = Change("profile.updated", living, now_ms, {"traits": changed})
    await feed.append(session, workspace_id, [updated, *settled.changes])
    return UUID(living)


def not_found(profile_id: UUID) -> ProfileNotFound:
    return ProfileNotFound(f"Profile {profile_id} does not exist.", profile_id=str(profile_id))
