"""SQL of the identity policies that profile told, and of what events carry beside them."""

from datetime import datetime
from importlib.resources import files
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.identity import IdentityPolicy
from services.identifiers import BUILT_IN, Policy
from services.kit.clickhouse import ClickHouse
from services.tracking.identity_policy.tables import IdentityPolicyRow
from services.tracking.sources.store import next_revision

MAX_TYPES = 200
_EXTERNAL_IDS = files(__package__).joinpath("external_ids.sql").read_text()
_ROW = IdentityPolicyRow
_CHANGES = text("SELECT workspace_id, version, revision FROM identity_policy_changes(:after)")


async def changes(session: AsyncSession, after: int) -> list[tuple[UUID, int, int]]:
    """(workspace, version, revision) of all workspaces after a revision, in that order."""
    found = await session.execute(_CHANGES, {"after": after})
    return [(row.workspace_id, row.version, row.revision) for row in found]


async def put(session: AsyncSession, workspace_id: UUID, policy: IdentityPolicy) -> int:
    """The newest version there is then; a version that is there already stays as it is."""
    statement = insert(_ROW).values(
        workspace_id=workspace_id,
        version=policy.version,
        namespaces=[n.model_dump(mode="json") for n in policy.namespaces],
        revision=await next_revision(session),
        received_at=func.clock_timestamp(),
    )
    await session.execute(statement.on_conflict_do_nothing())
    newest = select(func.max(_ROW.version)).where(_ROW.workspace_id == workspace_id)
    return int((await session.execute(newest)).scalar_one())


async def find(session: AsyncSession, workspace_id: UUID, version: int) -> Policy | None:
    statement = select(_ROW.namespaces).where(
        _ROW.workspace_id == workspace_id, _ROW.version == version
    )
    found = (await session.execute(statement)).scalar_one_or_none()
    return None if found is None else _ready(version, found)


async def newest(session: AsyncSession, workspace_id: UUID) -> Policy:
    """The one in force."""
    statement = select(_ROW.version, _ROW.namespaces).where(_ROW.workspace_id == workspace_id)
    latest = statement.order_by(_ROW.version.desc()).limit(1)
    found = (await session.execute(latest)).one_or_none()
    return BUILT_IN if found is None else _ready(*found)


async def external_ids(
    clickhouse: ClickHouse, workspace_id: UUID, since: datetime
) -> list[tuple[str, int, datetime]]:
    """(type, events, received last) of external ids, the most frequent types first."""
    values = {"since_ms": int(since.timestamp() * 1000), "limit": MAX_TYPES}
    found = await clickhouse.query(_EXTERNAL_IDS, {"workspace_id": workspace_id, **values})
    return [(kind, events, last_at) for kind, events, last_at in found]


def _ready(version: int, namespaces: list[dict[str, object]]) -> Policy:
    told = IdentityPolicy.model_validate({"version": version, "namespaces": namespaces})
    return Policy(told)
