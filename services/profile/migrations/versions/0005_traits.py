"""Traits know the source of their values; definitions, priorities, history and refusals."""

from alembic import op

from services.kit.migrate import fence

revision = "0005"
down_revision = "0004"

TABLES = {
    "trait_definition": """
        workspace_id uuid, name text, since_offset bigint,
        definition jsonb,
        CONSTRAINT pk_trait_definition PRIMARY KEY (workspace_id, name, since_offset)""",
    "trait_setting": """
        workspace_id uuid, since_offset bigint,
        sources jsonb NOT NULL,
        registered_only boolean NOT NULL,
        CONSTRAINT pk_trait_setting PRIMARY KEY (workspace_id, since_offset)""",
    "trait_history": """
        workspace_id uuid, profile_id uuid, key text, seq bigint,
        subject_id uuid NOT NULL,
        value jsonb,
        said_at timestamptz NOT NULL,
        source text NOT NULL,
        priority integer NOT NULL,
        lost_to bigint,
        CONSTRAINT pk_trait_history PRIMARY KEY (workspace_id, profile_id, key, seq)""",
    "trait_refusal": """
        workspace_id uuid, key text, reason text, source text,
        count bigint NOT NULL,
        last_profile_id uuid NOT NULL,
        last_message_id text NOT NULL,
        last_at timestamptz NOT NULL,
        CONSTRAINT pk_trait_refusal PRIMARY KEY (workspace_id, key, reason, source)""",
}
# Nobody knows any more which source said what is there: the empty one, of priority 0.
_WITH_SOURCE = """
    coalesce((SELECT jsonb_object_agg(key, jsonb_build_array(value, 0, '', 0))
              FROM jsonb_each({times})), '{{}}'::jsonb)"""


def upgrade() -> None:
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
        fence(table)
    op.execute("""
        CREATE VIEW masked_trait WITH (security_invoker = true) AS
        SELECT workspace_id, name FROM (
          SELECT DISTINCT ON (workspace_id, name) workspace_id, name, definition
          FROM trait_definition ORDER BY workspace_id, name, since_offset DESC
        ) newest
        WHERE definition ->> 'classification' IN ('sensitive', 'minor')""")
    op.execute("ALTER TABLE profile ADD COLUMN trait_meta jsonb NOT NULL DEFAULT '{}'::jsonb")
    op.execute(f"UPDATE profile SET trait_meta = {_WITH_SOURCE.format(times='trait_times')}")  # noqa: S608
    op.execute("ALTER TABLE profile DROP COLUMN trait_times")
    moved = _WITH_SOURCE.format(times="snapshot -> 'trait_times'")
    op.execute(
        f"UPDATE merge SET snapshot = snapshot - 'trait_times'"  # noqa: S608
        f" || jsonb_build_object('trait_meta', {moved}) WHERE snapshot ? 'trait_times'"
    )
