"""Seen message ids live in files beside the store now; they are read from the log once more."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("DROP FUNCTION seen_id_prepare(int, int)")
    op.drop_table("seen_id")
