"""SQL of the law that applies to a workspace's people."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.consents.policy import Policy
from services.profile.consents.tables import PolicyRow

_POLICY = text("""
SELECT p.region, p.countries, p.presumed_purposes, p.sensitive_purposes,
  ARRAY(SELECT 'group:' || group_id FROM subscription_group
        WHERE workspace_id = :workspace_id AND default_state = 'opt_out') AS opt_out_groups,
  ARRAY(SELECT 'group:' || group_id FROM subscription_group
        WHERE workspace_id = :workspace_id AND double_opt_in) AS confirmed_groups
FROM (SELECT CAST(:workspace_id AS uuid) AS workspace_id) AS w
LEFT JOIN consent_policy p USING (workspace_id)
""")


async def policy(session: AsyncSession, workspace_id: UUID) -> Policy:
    """The settings in force; those of ``Policy`` where the workspace has none."""
    row = (await session.execute(_POLICY, {"workspace_id": workspace_id})).one()
    groups = (frozenset(row.opt_out_groups), frozenset(row.confirmed_groups))
    if row.region is None:
        return Policy(opt_out_groups=groups[0], confirmed_groups=groups[1])
    return Policy(
        row.region,
        row.countries,
        frozenset(row.presumed_purposes),
        frozenset(row.sensitive_purposes),
        *groups,
    )


async def put(session: AsyncSession, workspace_id: UUID, policy: Policy) -> None:
    values = {
        "region": policy.region,
        "countries": dict(policy.countries),
        "presumed_purposes": sorted(policy.presumed_purposes),
        "sensitive_purposes": sorted(policy.sensitive_purposes),
    }
    await session.execute(
        insert(PolicyRow)
        .values(workspace_id=workspace_id, **values)
        .on_conflict_do_update(index_elements=["workspace_id"], set_=values)
    )
