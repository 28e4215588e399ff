"""Versions of segments, who entered and left them when, and how far a new one has got."""

from alembic import op

from services.kit.migrate import fence

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute("ALTER TABLE segment ADD COLUMN version integer NOT NULL DEFAULT 1")
    for table in ("rule", "stage_model"):
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN swept bigint NOT NULL DEFAULT 0,"
            " ADD COLUMN to_sweep bigint NOT NULL DEFAULT 0"
        )
    op.execute("""
        CREATE TABLE segment_version (
          workspace_id uuid, segment_id uuid, version integer,
          name text NOT NULL,
          description text NOT NULL,
          definition jsonb NOT NULL,
          made_by text NOT NULL,
          made_at timestamptz NOT NULL,
          CONSTRAINT pk_segment_version PRIMARY KEY (workspace_id, segment_id, version))
    """)
    fence("segment_version")
    op.execute("""
        INSERT INTO segment_version
          (workspace_id, segment_id, version, name, description, definition, made_by, made_at)
        SELECT s.workspace_id, s.segment_id, 1, s.name, s.description, r.definition, '',
               s.updated_at
        FROM segment s JOIN rule r USING (workspace_id)
        WHERE r.rule_id = s.segment_id
    """)
    op.execute("""
        CREATE TABLE segment_change (
          workspace_id uuid, change_id uuid,
          segment_id uuid NOT NULL,
          profile_id uuid NOT NULL,
          entered boolean NOT NULL,
          at timestamptz NOT NULL,
          CONSTRAINT pk_segment_change PRIMARY KEY (workspace_id, change_id))
    """)
    fence("segment_change")
    for column in ("segment_id", "profile_id"):
        op.execute(
            f"CREATE INDEX ix_segment_change_workspace_id_{column}_change_id"
            f" ON segment_change (workspace_id, {column}, change_id)"
        )
