"""Computed traits: definitions, what is counted for them, and its state per profile."""

from alembic import op

from services.kit.migrate import fence

revision = "0007"
down_revision = "0006"

TABLES = {
    "computed_trait": """
        workspace_id uuid, trait_id uuid,
        name text NOT NULL,
        kind text NOT NULL,
        definition jsonb,
        aggregate_id text,
        description jsonb NOT NULL,
        state text NOT NULL,
        progress double precision NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT pk_computed_trait PRIMARY KEY (workspace_id, trait_id)""",
    "aggregate": """
        workspace_id uuid, aggregate_id text,
        definition jsonb NOT NULL,
        start_offset bigint NOT NULL,
        state text NOT NULL,
        run_id uuid,
        CONSTRAINT pk_aggregate PRIMARY KEY (workspace_id, aggregate_id)""",
    "computed_state": """
        workspace_id uuid, aggregate_id text, profile_id uuid,
        state text NOT NULL,
        next_change_at bigint,
        CONSTRAINT pk_computed_state PRIMARY KEY (workspace_id, aggregate_id, profile_id)""",
    "computed_past": """
        workspace_id uuid, aggregate_id text, profile_id uuid,
        state text NOT NULL,
        CONSTRAINT pk_computed_past PRIMARY KEY (workspace_id, aggregate_id, profile_id)""",
}


def upgrade() -> None:
    for table, columns in TABLES.items():
        op.execute(f'CREATE TABLE "{table}" ({columns})')
        fence(table)
    op.execute(
        "CREATE UNIQUE INDEX uq_computed_trait_workspace_id_name"
        " ON computed_trait (workspace_id, name)"
    )
    op.execute(
        "CREATE INDEX ix_computed_state_workspace_id_next_change_at ON computed_state"
        " (workspace_id, next_change_at) WHERE next_change_at IS NOT NULL"
    )
    # Room on each page lets most updates stay on it without touching an index (HOT).
    op.execute("ALTER TABLE computed_state SET (fillfactor = 80)")
