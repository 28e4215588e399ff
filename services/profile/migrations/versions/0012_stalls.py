"""When people who stay in a stage begin to stall there."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE stage ADD COLUMN stalls_at timestamptz,"
        " ADD COLUMN stalled boolean NOT NULL DEFAULT false"
    )
    op.execute(
        "CREATE INDEX ix_stage_workspace_id_stalls_at ON stage (workspace_id, stalls_at)"
        " WHERE stalls_at IS NOT NULL"
    )
