"""Messages that people read in an app."""

from alembic import op

from services.kit.migrate import fence

revision = "0016"
down_revision = "0015"

STATEMENTS = (
    """
    CREATE TABLE inbox_item (
        id UUID NOT NULL,
        workspace_id UUID NOT NULL,
        profile_id UUID NOT NULL,
        channel_id UUID NOT NULL,
        seq BIGINT NOT NULL,
        title VARCHAR NOT NULL,
        text VARCHAR NOT NULL,
        url VARCHAR,
        data JSONB NOT NULL,
        read_at TIMESTAMP WITH TIME ZONE,
        archived_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_inbox_item PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_inbox_item_workspace_id_profile_id_id "
    "ON inbox_item (workspace_id, profile_id, id)",
    "CREATE UNIQUE INDEX uq_inbox_item_workspace_id_profile_id_seq "
    "ON inbox_item (workspace_id, profile_id, seq)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    fence("inbox_item")
