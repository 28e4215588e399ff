"""Merges can be undone: edges of the identity graph, undone merges, their impact, recounts."""

from alembic import op

from services.kit.migrate import fence

revision = "0004"
down_revision = "0003"

TABLES = {
    "unmerge": """
        workspace_id uuid, merge_id uuid,
        unmerge_id uuid NOT NULL,
        profile_id uuid NOT NULL,
        revived_id uuid NOT NULL,
        reason text NOT NULL,
        decided_by text NOT NULL,
        unmerged_at timestamptz NOT NULL,
        feed_offset bigint NOT NULL,
        snapshot jsonb NOT NULL,
        CONSTRAINT pk_unmerge PRIMARY KEY (workspace_id, merge_id)""",
    "impact": """
        workspace_id uuid, merge_id uuid, action text,
        before jsonb NOT NULL,
        changes jsonb NOT NULL,
        CONSTRAINT pk_impact PRIMARY KEY (workspace_id, merge_id, action)""",
    "recount": """
        workspace_id uuid, profile_id uuid,
        merge_id uuid NOT NULL,
        start_offset bigint,
        CONSTRAINT pk_recount PRIMARY KEY (workspace_id, profile_id)""",
}


def upgrade() -> None:
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
        fence(table)
    op.execute(
        "CREATE INDEX ix_unmerge_workspace_id_feed_offset ON unmerge (workspace_id, feed_offset)"
    )
    # Who an identifier came with was not kept so far: it counts as its own profile's.
    op.execute("ALTER TABLE identifier ADD COLUMN origin_id uuid")
    op.execute("UPDATE identifier SET origin_id = profile_id")
    op.execute("ALTER TABLE identifier ALTER COLUMN origin_id SET NOT NULL")
    # Of profiles merged one into the other the innermost has the fewest identifiers.
    op.execute("""
        UPDATE identifier i SET origin_id = m.merged_id
        FROM (
          SELECT DISTINCT ON (workspace_id, named) workspace_id, merged_id, named
          FROM merge, jsonb_array_elements(snapshot -> 'identifiers') AS named
          ORDER BY workspace_id, named, jsonb_array_length(snapshot -> 'identifiers')
        ) AS m
        WHERE i.workspace_id = m.workspace_id
          AND i.namespace = m.named ->> 0 AND i.value = m.named ->> 1""")
    op.execute("""
        ALTER TABLE merge
          ADD COLUMN survivor_origin_id uuid,
          ADD COLUMN merged_origin_id uuid,
          ADD COLUMN survivor jsonb NOT NULL DEFAULT '{}'::jsonb,
          ADD COLUMN reason text,
          ADD COLUMN decided_by text""")
    op.execute("UPDATE merge SET survivor_origin_id = profile_id, merged_origin_id = merged_id")
    op.execute("""
        ALTER TABLE merge
          ALTER COLUMN survivor_origin_id SET NOT NULL,
          ALTER COLUMN merged_origin_id SET NOT NULL,
          ALTER COLUMN survivor DROP DEFAULT""")
    op.execute("DROP INDEX ix_merge_workspace_id_profile_id")
    for name in ("survivor_origin_id", "merged_origin_id", "merged_id"):
        op.execute(f"CREATE INDEX ix_merge_workspace_id_{name} ON merge (workspace_id, {name})")
    op.execute(
        "CREATE INDEX ix_conflict_workspace_id_other_id ON conflict (workspace_id, other_id)"
    )
