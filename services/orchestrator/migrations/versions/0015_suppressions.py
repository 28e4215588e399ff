"""Why nothing is sent to a contact point any more."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.execute("ALTER TABLE send_gate ADD COLUMN reason VARCHAR")
    op.execute(
        "CREATE INDEX ix_send_gate_suppressed ON send_gate (workspace_id, subject) "
        "WHERE state = 'suppressed'"
    )
