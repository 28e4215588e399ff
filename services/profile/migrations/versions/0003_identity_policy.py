"""Identity policies, and one line per conflict however often events repeat it."""

from alembic import op

from services.kit.migrate import fence

revision = "0003"
down_revision = "0002"

# Of lines that say the same the first stays.
ONE_LINE_EACH = """
WITH same AS (
  SELECT workspace_id, conflict_id,
         row_number() OVER w AS number,
         count(*) OVER (PARTITION BY workspace_id, profile_id, namespace, value, reason) AS lines,
         max(occurred_at) OVER (
           PARTITION BY workspace_id, profile_id, namespace, value, reason) AS latest
  FROM conflict
  WINDOW w AS (PARTITION BY workspace_id, profile_id, namespace, value, reason
               ORDER BY conflict_id)
), gone AS (
  DELETE FROM conflict c USING same
  WHERE (c.workspace_id, c.conflict_id) = (same.workspace_id, same.conflict_id)
    AND same.number > 1
)
UPDATE conflict c SET count = same.lines, last_at = same.latest FROM same
WHERE (c.workspace_id, c.conflict_id) = (same.workspace_id, same.conflict_id) AND same.number = 1
"""


def upgrade() -> None:
    op.execute("""
        CREATE TABLE identity_policy (
          workspace_id uuid, version bigint,
          namespaces jsonb NOT NULL,
          from_seq bigint NOT NULL,
          changed_at timestamptz NOT NULL,
          in_force boolean NOT NULL,
          CONSTRAINT pk_identity_policy PRIMARY KEY (workspace_id, version))
    """)
    fence("identity_policy")
    op.execute("ALTER TABLE conflict ADD COLUMN last_at timestamptz, ADD COLUMN count bigint")
    op.execute(ONE_LINE_EACH)
    op.execute("ALTER TABLE conflict ALTER last_at SET NOT NULL, ALTER count SET NOT NULL")
    op.execute("DROP INDEX ix_conflict_workspace_id_profile_id")
    op.execute(
        "CREATE UNIQUE INDEX uq_conflict_identifier ON conflict"
        " (workspace_id, profile_id, namespace, value, reason)"
    )
