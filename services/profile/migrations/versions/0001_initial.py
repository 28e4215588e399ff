"""The profile service's first schema."""

from alembic import op

from services.kit.migrate import fence

revision = "0001"
down_revision = None

TABLES = {
    "consumer": """
        partition text PRIMARY KEY,
        workspace_id uuid NOT NULL,
        log_offset bigint NOT NULL DEFAULT 0,
        rules_revision bigint NOT NULL DEFAULT 0""",
    "feed": """
        workspace_id uuid, partition text, "offset" bigint,
        count integer NOT NULL,
        at timestamptz NOT NULL,
        data bytea NOT NULL,
        PRIMARY KEY (workspace_id, partition, "offset")""",
    "quarantine": """
        workspace_id uuid, seq bigint,
        message_id text NOT NULL,
        reason text NOT NULL,
        event bytea NOT NULL,
        at timestamptz NOT NULL,
        PRIMARY KEY (workspace_id, seq)""",
    "profile": """
        workspace_id uuid, profile_id uuid,
        user_id text,
        traits jsonb NOT NULL DEFAULT '{}'::jsonb,
        trait_times jsonb NOT NULL DEFAULT '{}'::jsonb,
        identifier_count integer NOT NULL,
        created_seq bigint NOT NULL,
        first_seen_at timestamptz NOT NULL,
        last_seen_at timestamptz NOT NULL,
        PRIMARY KEY (workspace_id, profile_id)""",
    "identifier": """
        workspace_id uuid, namespace text, value text,
        subject_id uuid NOT NULL,
        profile_id uuid NOT NULL,
        linked_at timestamptz NOT NULL,
        PRIMARY KEY (workspace_id, namespace, value)""",
    "alias": """
        workspace_id uuid, alias_id uuid,
        profile_id uuid NOT NULL,
        PRIMARY KEY (workspace_id, alias_id)""",
    "merge": """
        workspace_id uuid, merge_id uuid,
        profile_id uuid NOT NULL,
        merged_id uuid NOT NULL,
        message_id text NOT NULL,
        merged_at timestamptz NOT NULL,
        snapshot jsonb NOT NULL,
        PRIMARY KEY (workspace_id, merge_id)""",
    "conflict": """
        workspace_id uuid, conflict_id uuid,
        profile_id uuid NOT NULL,
        other_id uuid,
        namespace text NOT NULL,
        value text NOT NULL,
        reason text NOT NULL,
        message_id text NOT NULL,
        occurred_at timestamptz NOT NULL,
        PRIMARY KEY (workspace_id, conflict_id)""",
    "consent": """
        workspace_id uuid, profile_id uuid, purpose text,
        state text NOT NULL,
        at timestamptz NOT NULL,
        PRIMARY KEY (workspace_id, profile_id, purpose)""",
    "consent_entry": """
        workspace_id uuid, entry_id uuid,
        profile_id uuid NOT NULL,
        purpose text NOT NULL,
        state text NOT NULL,
        at timestamptz NOT NULL,
        source text NOT NULL,
        message_id text NOT NULL,
        PRIMARY KEY (workspace_id, entry_id)""",
    "rule": """
        workspace_id uuid, rule_id uuid,
        kind text NOT NULL,
        owner text NOT NULL,
        definition jsonb NOT NULL,
        watch boolean NOT NULL,
        state text NOT NULL,
        PRIMARY KEY (workspace_id, rule_id)""",
    "leaf": """
        workspace_id uuid, leaf_id text,
        definition jsonb NOT NULL,
        start_offset bigint NOT NULL,
        state text NOT NULL,
        PRIMARY KEY (workspace_id, leaf_id)""",
    "leaf_state": """
        workspace_id uuid, profile_id uuid, leaf_id text,
        total bigint NOT NULL,
        first bigint,
        last bigint,
        recent bigint[] NOT NULL,
        bucket_index bigint[] NOT NULL,
        bucket_count bigint[] NOT NULL,
        next_change_at bigint,
        PRIMARY KEY (workspace_id, profile_id, leaf_id)""",
    "membership": """
        workspace_id uuid, profile_id uuid, rule_id uuid,
        entered_at timestamptz NOT NULL,
        PRIMARY KEY (workspace_id, profile_id, rule_id)""",
    "segment": """
        workspace_id uuid, segment_id uuid,
        name text NOT NULL,
        description text NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        PRIMARY KEY (workspace_id, segment_id)""",
    "stage_model": """
        workspace_id uuid, model_id uuid,
        definition jsonb NOT NULL,
        state text NOT NULL,
        published_at timestamptz NOT NULL,
        PRIMARY KEY (workspace_id, model_id)""",
    "stage": """
        workspace_id uuid, profile_id uuid, model_id uuid,
        stage_id text NOT NULL,
        since timestamptz NOT NULL,
        PRIMARY KEY (workspace_id, profile_id, model_id)""",
    "stage_change": """
        workspace_id uuid, change_id uuid,
        profile_id uuid NOT NULL,
        model_id uuid NOT NULL,
        from_stage text,
        to_stage text,
        at timestamptz NOT NULL,
        PRIMARY KEY (workspace_id, change_id)""",
}
INDEXES = (
    ("identifier", "profile_id"),
    ("identifier", "subject_id"),
    ("alias", "profile_id"),
    ("merge", "profile_id"),
    ("conflict", "profile_id"),
    ("consent_entry", "profile_id"),
    ("membership", "rule_id", "profile_id"),
    ("stage", "model_id", "stage_id"),
    ("stage_change", "profile_id", "model_id"),
)


def upgrade() -> None:
    for table, columns in TABLES.items():
        primary = f"CONSTRAINT pk_{table} PRIMARY KEY"
        op.execute(f'CREATE TABLE "{table}" ({columns.replace("PRIMARY KEY (", primary + " (")})')
        # consumer names partitions and offsets only, and workers walk it across workspaces.
        if table != "consumer":
            fence(table)
    for indexed, *names in INDEXES:
        name = "_".join(["ix", indexed, "workspace_id", *names])
        op.execute(f'CREATE INDEX {name} ON "{indexed}" (workspace_id, {", ".join(names)})')
    op.execute(
        "CREATE INDEX ix_leaf_state_workspace_id_next_change_at ON leaf_state"
        " (workspace_id, next_change_at) WHERE next_change_at IS NOT NULL"
    )
    op.execute("CREATE UNIQUE INDEX uq_segment_workspace_id_name ON segment (workspace_id, name)")
    # Room on each page lets most updates stay on it without touching an index (HOT).
    op.execute("ALTER TABLE profile SET (fillfactor = 70)")
    op.execute("ALTER TABLE leaf_state SET (fillfactor = 80)")
    # Blocks are compressed before they get here.
    op.execute("ALTER TABLE feed ALTER COLUMN data SET STORAGE EXTERNAL")
