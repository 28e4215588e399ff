"""Which identifiers of people a workspace knows, told by profile and read by ingestion."""

import sqlalchemy as sa
from alembic import op

from services.kit.migrate import fence

revision = "0007"
down_revision = "0006"

# Ingestion serves all workspaces and must learn of every change: this reads past the fence, ids
# and versions only. Changes take the lock 'plans', so a revision is never seen before a lower one.
CHANGED = """
CREATE FUNCTION identity_policy_changes(after bigint)
RETURNS TABLE (workspace_id uuid, version bigint, revision bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT p.workspace_id, p.version, p.revision
  FROM public.identity_policy p WHERE p.revision > after ORDER BY p.revision
$$
"""


def upgrade() -> None:
    op.create_table(
        "identity_policy",
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("namespaces", sa.JSON, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "version", name="pk_identity_policy"),
    )
    op.create_index("ix_identity_policy_revision", "identity_policy", ["revision"])
    fence("identity_policy")
    op.execute(CHANGED)
