"""Holdouts, their history, and what became of those in and out of them."""

from alembic import op

from services.kit.migrate import fence

revision = "0013"
down_revision = "0012"

STATEMENTS = (
    """
    CREATE TABLE holdout (
        workspace_id UUID NOT NULL,
        scope_id UUID NOT NULL,
        salt VARCHAR NOT NULL,
        buckets INTEGER NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_holdout PRIMARY KEY (workspace_id, scope_id)
    )
    """,
    """
    CREATE TABLE holdout_membership (
        workspace_id UUID NOT NULL,
        scope_id UUID NOT NULL,
        from_bucket INTEGER NOT NULL,
        valid_from TIMESTAMP WITH TIME ZONE NOT NULL,
        to_bucket INTEGER NOT NULL,
        valid_to TIMESTAMP WITH TIME ZONE,
        CONSTRAINT pk_holdout_membership
            PRIMARY KEY (workspace_id, scope_id, from_bucket, valid_from)
    )
    """,
    """
    CREATE TABLE holdout_arm (
        workspace_id UUID NOT NULL,
        profile_id UUID NOT NULL,
        journey_id UUID NOT NULL,
        version_id UUID NOT NULL,
        arm VARCHAR NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        trigger JSONB NOT NULL,
        mixed BOOLEAN NOT NULL,
        CONSTRAINT pk_holdout_arm PRIMARY KEY (workspace_id, profile_id, journey_id)
    )
    """,
    "CREATE INDEX ix_holdout_arm_journey_id ON holdout_arm (journey_id)",
    """
    CREATE TABLE holdout_goal (
        workspace_id UUID NOT NULL,
        profile_id UUID NOT NULL,
        journey_id UUID NOT NULL,
        goal VARCHAR NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_holdout_goal PRIMARY KEY (workspace_id, profile_id, journey_id, goal)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    for table in ("holdout", "holdout_membership", "holdout_arm", "holdout_goal"):
        fence(table)
