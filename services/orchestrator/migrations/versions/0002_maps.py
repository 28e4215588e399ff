"""Journey maps."""

from alembic import op

from services.kit.migrate import fence

revision = "0002"
down_revision = "0001"

TABLE = """
CREATE TABLE journey_map (
    id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    version INTEGER NOT NULL,
    document JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_journey_map PRIMARY KEY (id)
)
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute("CREATE INDEX ix_journey_map_page ON journey_map (workspace_id, id)")
    fence("journey_map")
