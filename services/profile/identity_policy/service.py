"""Setting the identity policy: stored first, then told to tracking until tracking has it."""

from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.identity import IdentityPolicy, IdentityPolicyTaken, Namespace
from services.kit.http import ServiceClient
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.problems import Unavailable
from services.profile.identity_policy import store
from services.profile.identity_policy.check import check
from services.profile.identity_policy.store import Stored
from services.profile.stream import store as stream
from services.profile.stream.block import first_place

log = structlog.get_logger(__name__)


def policy_bell(workspace_id: UUID) -> str:
    """What is rung when a policy was set that tracking does not have yet."""
    return f"identity-policy:{workspace_id}"


async def put(
    session: AsyncSession, workspace_id: UUID, namespaces: list[Namespace], now: datetime
) -> None:
    """The next version; nothing where the newest says the same. ``InvalidRequest``.

    Its limits count from the row of the log that is applied next, so that reading the log again
    makes the same people.
    """
    check(namespaces)
    place = await stream.lock(session, workspace_id)
    known = await store.newest(session, workspace_id)
    if known is not None and known.namespaces == namespaces:
        return
    version = 1 if known is None else known.version + 1
    policy = Stored(version, namespaces, now, in_force=False)
    await store.add(session, workspace_id, policy, first_place(place.log_offset + 1))


async def tell(maker: SessionMaker, tracking: ServiceClient, workspace_id: UUID) -> None:
    """Tells tracking the newest version if it does not have it. ``Unavailable``."""
    async with workspace_tx(maker, workspace_id) as session:
        policy = await store.newest(session, workspace_id)
    if policy is None or policy.in_force:
        return
    has = await _tell(tracking, workspace_id, policy)
    async with workspace_tx(maker, workspace_id) as session:
        if has == policy.version:
            await store.put_in_force(session, workspace_id, policy.version)
            return
        if await store.newest_version(session, workspace_id) == policy.version:
            # This database is older than what it once told (it was restored from a backup): what
            # was set since has to count all the same.
            await store.renumber(session, workspace_id, policy.version, has + 1)
    await tell(maker, tracking, workspace_id)


async def _tell(tracking: ServiceClient, workspace_id: UUID, policy: Stored) -> int:
    """The newest version that tracking has then."""
    told = IdentityPolicy(version=policy.version, namespaces=policy.namespaces)
    answer = await tracking.request(
        "PUT",
        "/internal/v1/identity-policy",
        workspace_id=workspace_id,
        json=told.model_dump(mode="json"),
    )
    if answer.status_code != 200:
        log.error("identity_policy_refused", status=answer.status_code, version=policy.version)
        raise Unavailable(f"Tracking answers {answer.status_code} to the identity policy.")
    return IdentityPolicyTaken.model_validate_json(answer.content).version
