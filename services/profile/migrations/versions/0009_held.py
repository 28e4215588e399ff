"""When a rule has held as long as another rule asks."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute("ALTER TABLE membership ADD COLUMN next_change_at bigint")
    op.execute(
        "CREATE INDEX ix_membership_workspace_id_next_change_at ON membership"
        " (workspace_id, next_change_at) WHERE next_change_at IS NOT NULL"
    )
