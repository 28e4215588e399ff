"""Webhooks of partners: how a source's are signed and read."""

import sqlalchemy as sa
from alembic import op

from services.kit.migrate import fence

revision = "0005"
down_revision = "0004"

# As before, and also which version of its webhook a source runs.
CHANGED = """
CREATE FUNCTION source_setting_changes(after bigint)
RETURNS TABLE (
  workspace_id uuid, source_id text, plan_id uuid, plan_version int, mode text,
  webhook_version bigint, revision bigint
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT s.workspace_id, s.source_id, s.plan_id, s.plan_version, s.mode, s.webhook_version,
         s.revision
  FROM public.source_setting s WHERE s.revision > after ORDER BY s.revision
$$
"""


def upgrade() -> None:
    op.add_column("source_setting", sa.Column("webhook_version", sa.BigInteger))
    op.create_table(
        "source_webhook",
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("source_id", sa.String, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("signature", sa.JSON, nullable=False),
        # json, not jsonb: the rules' tables come back in the order they were written in.
        sa.Column("mapping", sa.JSON, nullable=False),
        sa.Column("secrets", sa.JSON, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "source_id", name="pk_source_webhook"),
    )
    fence("source_webhook")
    op.execute("DROP FUNCTION source_setting_changes(bigint)")
    op.execute(CHANGED)
