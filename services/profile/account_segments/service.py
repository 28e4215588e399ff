"""What may happen to a segment of accounts."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.ids import uuid7
from services.kit.problems import InvalidRequest
from services.profile.account_segments import audience, store
from services.profile.account_segments.compile import reads_accounts_only
from services.profile.account_segments.models import AccountSegmentCreate, MembersCondition
from services.profile.account_segments.store import StoredAccountSegment
from services.profile.errors import AccountSegmentNotFound
from services.profile.feed import store as feed
from services.profile.rules import registry
from services.profile.stream import store as stream

MAX_SEGMENTS = 100
"""Of accounts in a workspace: each is asked again whenever an account or its people change."""


async def create(
    session: AsyncSession, workspace_id: UUID, body: AccountSegmentCreate, now_ms: int
) -> StoredAccountSegment:
    """Accounts it holds for are in it at once."""
    await stream.lock(session, workspace_id)
    if len(await store.definitions(session, workspace_id)) >= MAX_SEGMENTS:
        detail = f"A workspace has at most {MAX_SEGMENTS} segments of accounts."
        raise InvalidRequest.at("#", detail)
    definition = await _definition(session, workspace_id, body)
    segment_id = uuid7()
    await store.add(session, workspace_id, segment_id, body.name, body.description, definition)
    return await _asked(session, workspace_id, segment_id, definition, now_ms)


async def replace(
    session: AsyncSession,
    workspace_id: UUID,
    segment_id: UUID,
    body: AccountSegmentCreate,
    now_ms: int,
) -> StoredAccountSegment:
    """Only differences are told."""
    await stream.lock(session, workspace_id)
    await read(session, workspace_id, segment_id)
    definition = await _definition(session, workspace_id, body)
    await store.replace(session, workspace_id, segment_id, body.name, body.description, definition)
    return await _asked(session, workspace_id, segment_id, definition, now_ms)


async def read(session: AsyncSession, workspace_id: UUID, segment_id: UUID) -> StoredAccountSegment:
    found = await store.find(session, workspace_id, segment_id)
    if found is None:
        detail = f"The segment of accounts {segment_id} does not exist."
        raise AccountSegmentNotFound(detail, segment_id=str(segment_id))
    return found


async def delete(session: AsyncSession, workspace_id: UUID, segment_id: UUID) -> None:
    await stream.lock(session, workspace_id)
    await read(session, workspace_id, segment_id)
    await store.remove(session, workspace_id, segment_id)


async def _asked(
    session: AsyncSession,
    workspace_id: UUID,
    segment_id: UUID,
    definition: dict[str, Any],
    now_ms: int,
) -> StoredAccountSegment:
    changes = await audience.ask(session, workspace_id, segment_id, definition, None, now_ms)
    await feed.append(session, workspace_id, changes)
    return await read(session, workspace_id, segment_id)


async def _definition(
    session: AsyncSession, workspace_id: UUID, body: AccountSegmentCreate
) -> dict[str, Any]:
    tree = body.rule.model_dump(mode="json", by_alias=True, exclude_none=True)
    if not reads_accounts_only(registry.parse(tree, "#/rule")):
        detail = "Conditions on account.<trait> and account.$group_id are accepted; ask about "
        raise InvalidRequest.at("#/rule", detail + "people by `members` and a segment of them.")
    _check(body.members)
    wanted = {each.segment_id for each in body.members if each.segment_id is not None}
    known = await store.people_segments(session, workspace_id, wanted) if wanted else set()
    for index, each in enumerate(body.members):
        if each.segment_id is not None and each.segment_id not in known:
            detail = f"There is no segment of people {each.segment_id}."
            raise InvalidRequest.at(f"#/members/{index}/segment_id", detail)
    members = [each.model_dump(mode="json", exclude_none=True) for each in body.members]
    return {"rule": tree, "members": members}


def _check(members: Sequence[MembersCondition]) -> None:
    for index, each in enumerate(members):
        at = f"#/members/{index}"
        if (each.quantifier == "at_least") != (each.count is not None):
            raise InvalidRequest.at(
                f"{at}/count", "`at_least` needs a count, the others take none."
            )
        if each.quantifier == "every" and each.segment_id is None:
            raise InvalidRequest.at(f"{at}/segment_id", "`every` needs a segment of people.")
