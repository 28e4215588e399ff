"""Versions that hand their people over, pauses that discard, releases at a rate."""

from alembic import op

from services.kit.migrate import fence

revision = "0009"
down_revision = "0008"

STATEMENTS = (
    """
    ALTER TABLE journey
        ADD COLUMN discarding BOOLEAN NOT NULL DEFAULT false,
        ADD COLUMN releasing BOOLEAN NOT NULL DEFAULT false,
        ADD COLUMN key VARCHAR
    """,
    "UPDATE journey SET key = 'journey-' || right(CAST(id AS text), 12)",
    "ALTER TABLE journey ALTER COLUMN key SET NOT NULL",
    "CREATE UNIQUE INDEX uq_journey_workspace_id_key ON journey (workspace_id, key)",
    "ALTER TABLE journey_version ADD COLUMN successor_id UUID, ADD COLUMN move JSONB",
    """
    CREATE TABLE sweep (
        id UUID NOT NULL,
        workspace_id UUID NOT NULL,
        journey_id UUID NOT NULL,
        kind VARCHAR NOT NULL,
        version_ids UUID[] NOT NULL,
        per_minute INTEGER,
        cursor UUID,
        before TIMESTAMP WITH TIME ZONE NOT NULL,
        next_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_sweep PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_sweep_workspace_id_journey_id ON sweep (workspace_id, journey_id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    fence("sweep")
