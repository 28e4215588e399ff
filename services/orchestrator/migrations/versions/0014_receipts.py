"""What became of messages after they were sent."""

from alembic import op

from services.kit.migrate import fence

revision = "0014"
down_revision = "0013"

RECEIPT = """
CREATE TABLE receipt (
    workspace_id UUID NOT NULL,
    message_id UUID NOT NULL,
    kind VARCHAR NOT NULL,
    key VARCHAR NOT NULL,
    automated BOOLEAN NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_at TIMESTAMP WITH TIME ZONE NOT NULL,
    count INTEGER NOT NULL,
    detail JSONB NOT NULL,
    CONSTRAINT pk_receipt PRIMARY KEY (workspace_id, message_id, kind, key)
)
"""


def upgrade() -> None:
    op.execute(RECEIPT)
    fence("receipt")
