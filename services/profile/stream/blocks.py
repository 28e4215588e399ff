"""A block of the log, from its events to the last entry of the feed: all in one transaction."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.feed import store as feed
from services.profile.rules.count import Counted, count
from services.profile.rules.ruleset import RuleSet
from services.profile.stream import effects, service
from services.profile.stream.aside import aside
from services.profile.stream.block import Block
from services.profile.stream.effects import Effects
from services.profile.stream.service import Decided
from services.profile.traits.policy import Policy


async def apply(
    session: AsyncSession,
    workspace_id: UUID,
    block: Block,
    rules: RuleSet,
    policy: Policy,
    now_ms: int,
) -> Effects:
    decided = await service.decide(session, workspace_id, block)
    return await follow(session, workspace_id, block, decided, rules, policy, now_ms)


async def follow(
    session: AsyncSession,
    workspace_id: UUID,
    block: Block,
    decided: Decided,
    rules: RuleSet,
    policy: Policy,
    now_ms: int,
) -> Effects:
    """What was decided about identity, and all that follows of it and of the events.

    What only computes is done by a thread while PostgreSQL works: events are counted by the rules
    while profiles are written, and told of while rules are asked.
    """

    def counted() -> Counted:
        if not rules.by_event and not rules.aggregates_by_event:
            return Counted()
        canonical, owners = decided.resolution.canonical, decided.resolution.owners
        return count(rules, block.events, map(canonical, owners))

    async with aside(counted) as counting:
        applied = await service.write(session, workspace_id, block, decided, policy)
        async with aside(
            lambda: feed.whole_rows(service.told(block, applied, now_ms, policy))
        ) as telling:
            followed = await effects.follow(
                session, workspace_id, rules, block, applied, counting, now_ms
            )
            rows, rest = await telling
    await feed.append(session, workspace_id, rest + followed.changes, after=rows)
    return followed
