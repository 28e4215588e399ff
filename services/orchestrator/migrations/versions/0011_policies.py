"""Send policies: caps, quiet hours, expiry, the arbiter."""

from alembic import op

from services.kit.migrate import fence

revision = "0011"
down_revision = "0010"

STATEMENTS = (
    """
    CREATE TABLE policy (
        workspace_id UUID NOT NULL,
        version INTEGER NOT NULL,
        document JSONB NOT NULL,
        written_by VARCHAR NOT NULL,
        written_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_policy PRIMARY KEY (workspace_id, version)
    )
    """,
    """
    CREATE TABLE cap_use (
        workspace_id UUID NOT NULL,
        subject VARCHAR NOT NULL,
        cap VARCHAR NOT NULL,
        uses JSONB NOT NULL,
        CONSTRAINT pk_cap_use PRIMARY KEY (workspace_id, subject, cap)
    )
    """,
    """
    ALTER TABLE message
        ADD COLUMN zone VARCHAR,
        ADD COLUMN tags VARCHAR[] NOT NULL DEFAULT '{}',
        ADD COLUMN priority INTEGER NOT NULL DEFAULT 50,
        ADD COLUMN expires_at TIMESTAMP WITH TIME ZONE,
        ADD COLUMN reserved VARCHAR[] NOT NULL DEFAULT '{}'
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    for table in ("policy", "cap_use"):
        fence(table)
