"""Consents by channel and contact point, with their proof; wordings, groups, regional policy."""

from alembic import op

from services.kit.migrate import fence

revision = "0006"
down_revision = "0005"

CONSENT = """
ALTER TABLE consent
  ADD COLUMN channel text NOT NULL DEFAULT '*',
  ADD COLUMN contact_point text NOT NULL DEFAULT '*',
  ADD COLUMN own_state text,
  ADD COLUMN own_at timestamptz,
  ADD COLUMN repeated_state text,
  ADD COLUMN repeated_at timestamptz,
  ADD COLUMN asked_at timestamptz,
  DROP CONSTRAINT pk_consent,
  ADD CONSTRAINT pk_consent
    PRIMARY KEY (workspace_id, profile_id, purpose, channel, contact_point)
"""
DEFAULTS = """
ALTER TABLE consent
  ALTER COLUMN channel DROP DEFAULT,
  ALTER COLUMN contact_point DROP DEFAULT
"""
# So far only preferences of clients said anything.
REPEATED = "UPDATE consent SET repeated_state = state, repeated_at = at"
# Lines of before this version have no place in the log; they keep their order in front of it.
LEDGER = """
CREATE TABLE consent_line (
  workspace_id uuid, profile_id uuid, seq bigint, line integer,
  purpose text NOT NULL,
  channel text NOT NULL,
  contact_point text NOT NULL,
  state text NOT NULL,
  at timestamptz NOT NULL,
  source text NOT NULL,
  message_id text NOT NULL,
  wording_id text,
  wording_version integer,
  proof jsonb NOT NULL,
  CONSTRAINT pk_consent_line PRIMARY KEY (workspace_id, profile_id, seq, line)
)
"""
MOVE = """
INSERT INTO consent_line
SELECT workspace_id, profile_id, 0,
       row_number() OVER (PARTITION BY workspace_id ORDER BY entry_id),
       purpose, '*', '*', state, at, source, message_id, NULL, NULL, '{}'::jsonb
FROM consent_entry
"""
TABLES = {
    "consent_wording": """
        workspace_id uuid, wording_id text, version integer,
        texts jsonb NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT pk_consent_wording PRIMARY KEY (workspace_id, wording_id, version)""",
    "subscription_group": """
        workspace_id uuid, group_id uuid,
        names jsonb NOT NULL,
        channels text[] NOT NULL,
        purpose text NOT NULL,
        default_state text NOT NULL,
        double_opt_in boolean NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT pk_subscription_group PRIMARY KEY (workspace_id, group_id)""",
    "consent_policy": """
        workspace_id uuid,
        region text NOT NULL,
        countries jsonb NOT NULL,
        presumed_purposes text[] NOT NULL,
        sensitive_purposes text[] NOT NULL,
        CONSTRAINT pk_consent_policy PRIMARY KEY (workspace_id)""",
}


def upgrade() -> None:
    for statement in (CONSENT, DEFAULTS, REPEATED, LEDGER, MOVE):
        op.execute(statement)
    op.execute("DROP TABLE consent_entry")
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
    for table in ("consent_line", *TABLES):
        fence(table)
    op.execute(
        "CREATE INDEX ix_consent_workspace_id_purpose_profile_id"
        " ON consent (workspace_id, purpose, profile_id)"
    )
    op.execute(
        "CREATE INDEX ix_consent_line_workspace_id_wording_id_wording_version ON consent_line"
        " (workspace_id, wording_id, wording_version) WHERE wording_id IS NOT NULL"
    )
