"""Whose turn it is after quiet hours."""

from alembic import op

from services.kit.migrate import fence

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE quiet_queue (
            workspace_id UUID NOT NULL,
            channel_id UUID NOT NULL,
            opens_at TIMESTAMP WITH TIME ZONE NOT NULL,
            taken INTEGER NOT NULL,
            CONSTRAINT pk_quiet_queue PRIMARY KEY (workspace_id, channel_id, opens_at)
        )
        """
    )
    fence("quiet_queue")
