"""Predictions and clusterings, and their runs."""

from alembic import op

from services.kit.migrate import fence

revision = "0010"
down_revision = "0009"

TABLES = {
    "prediction": """
        workspace_id uuid, prediction_id uuid,
        name text NOT NULL,
        description text NOT NULL,
        kind text NOT NULL,
        definition jsonb NOT NULL,
        refresh_hours bigint,
        created_at timestamptz NOT NULL,
        removed_at timestamptz,
        CONSTRAINT pk_prediction PRIMARY KEY (workspace_id, prediction_id)""",
    "prediction_run": """
        workspace_id uuid, run_id uuid,
        prediction_id uuid NOT NULL,
        state text NOT NULL,
        attempt bigint NOT NULL,
        progress double precision NOT NULL,
        as_of timestamptz NOT NULL,
        requested_at timestamptz NOT NULL,
        finished_at timestamptz,
        people bigint NOT NULL,
        reason text,
        metrics jsonb NOT NULL DEFAULT '{}'::jsonb,
        CONSTRAINT pk_prediction_run PRIMARY KEY (workspace_id, run_id)""",
}


def upgrade() -> None:
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
        fence(table)
    op.execute(
        "CREATE UNIQUE INDEX uq_prediction_workspace_id_name ON prediction (workspace_id, name)"
    )
    op.execute(
        "CREATE INDEX ix_prediction_run_workspace_id_prediction_id_run_id ON prediction_run"
        " (workspace_id, prediction_id, run_id)"
    )
