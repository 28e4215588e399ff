"""What was done by hand to people inside journeys."""

from alembic import op

from services.kit.migrate import fence

revision = "0017"
down_revision = "0016"

STATEMENTS = (
    """
    CREATE TABLE intervention (
        id UUID NOT NULL,
        workspace_id UUID NOT NULL,
        journey_id UUID NOT NULL,
        action VARCHAR NOT NULL,
        who JSONB NOT NULL,
        "to" VARCHAR,
        reason VARCHAR NOT NULL,
        people INTEGER NOT NULL,
        passed_over INTEGER NOT NULL,
        more BOOLEAN NOT NULL,
        by VARCHAR NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_intervention PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_intervention_journey_id_id ON intervention (journey_id, id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    fence("intervention")
