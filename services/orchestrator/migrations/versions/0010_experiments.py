"""Experiments and exposures."""

from alembic import op

from services.kit.migrate import fence

revision = "0010"
down_revision = "0009"

STATEMENTS = (
    """
    CREATE TABLE experiment (
        id UUID NOT NULL,
        workspace_id UUID NOT NULL,
        state VARCHAR NOT NULL,
        spec JSONB NOT NULL,
        decision JSONB,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        started_at TIMESTAMP WITH TIME ZONE,
        stopped_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT pk_experiment PRIMARY KEY (id)
    )
    """,
    "CREATE UNIQUE INDEX ix_experiment_workspace_id_id ON experiment (workspace_id, id)",
    """
    CREATE TABLE exposure (
        workspace_id UUID NOT NULL,
        experiment_id UUID NOT NULL,
        profile_id UUID NOT NULL,
        participant_id UUID NOT NULL,
        journey_id UUID NOT NULL,
        version_id UUID NOT NULL,
        variant VARCHAR NOT NULL,
        probability DOUBLE PRECISION NOT NULL,
        chooser VARCHAR NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        mixed BOOLEAN NOT NULL,
        CONSTRAINT pk_exposure PRIMARY KEY (workspace_id, experiment_id, profile_id)
    )
    """,
    "CREATE INDEX ix_exposure_workspace_id_profile_id ON exposure (workspace_id, profile_id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    for table in ("experiment", "exposure"):
        fence(table)
