"""Quarantine that can be replayed; tracking plans, sources' channels, declared touchpoints."""

import sqlalchemy as sa
from alembic import op

from services.kit.migrate import fence

revision = "0002"
down_revision = "0001"

MOMENT = sa.DateTime(timezone=True)

_SIGNATURE = "text[], uuid[], int[], bytea[], uuid[], text[], text[], text[], text[], bytea[]"

# As before, and of a refused event also what a replay needs and which rules of a plan it broke.
APPEND = """
CREATE FUNCTION log_append(
  partitions text[], workspaces uuid[], counts int[], bodies bytea[],
  q_workspaces uuid[], q_sources text[], q_reasons text[], q_pointers text[], q_details text[],
  q_raws bytea[], q_origins bytea[], q_violations text[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  part record;
  last bigint;
BEGIN
  FOR part IN
    SELECT p AS name, (array_agg(w))[1] AS workspace, count(*) AS size
    FROM unnest(partitions, workspaces) AS g(p, w) GROUP BY p ORDER BY p
  LOOP
    PERFORM pg_advisory_xact_lock(hashtextextended('log:' || part.name, 0));
    PERFORM set_config('app.workspace_id', part.workspace::text, true);
    INSERT INTO log_partition (name, workspace_id, end_offset)
      VALUES (part.name, part.workspace, part.size)
      ON CONFLICT (name) DO UPDATE SET end_offset = log_partition.end_offset + part.size
      RETURNING end_offset INTO last;
    INSERT INTO log (partition, "offset", workspace_id, count, received_at, data)
      SELECT part.name, last - part.size + row_number() OVER (ORDER BY g.n), part.workspace,
             g.c, clock_timestamp(), g.b
      FROM unnest(partitions, counts, bodies) WITH ORDINALITY AS g(p, c, b, n)
      WHERE g.p = part.name;
    PERFORM pg_notify('log', part.name);
  END LOOP;
  FOR part IN SELECT DISTINCT w AS workspace FROM unnest(q_workspaces) AS g(w) ORDER BY w LOOP
    PERFORM set_config('app.workspace_id', part.workspace::text, true);
    INSERT INTO quarantine
      (workspace_id, source_id, received_at, reason, pointer, detail, raw, origin, violations)
      SELECT g.w, g.s, clock_timestamp(), g.r, g.p, g.d, g.b, g.o, g.v
      FROM unnest(q_workspaces, q_sources, q_reasons, q_pointers, q_details, q_raws,
                  q_origins, q_violations) AS g(w, s, r, p, d, b, o, v)
      WHERE g.w = part.workspace;
  END LOOP;
END $$
"""

# Ingestion serves all workspaces and must learn of every change: this reads past the fence, ids
# and modes only. Changes take the lock 'plans', so a revision is never seen before a lower one.
CHANGED = """
CREATE FUNCTION source_setting_changes(after bigint)
RETURNS TABLE (
  workspace_id uuid, source_id text, plan_id uuid, plan_version int, mode text, revision bigint
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT s.workspace_id, s.source_id, s.plan_id, s.plan_version, s.mode, s.revision
  FROM public.source_setting s WHERE s.revision > after ORDER BY s.revision
$$
"""


def upgrade() -> None:
    op.add_column("quarantine", sa.Column("origin", sa.LargeBinary))
    op.add_column("quarantine", sa.Column("violations", sa.String))
    op.add_column("quarantine", sa.Column("replayed_at", MOMENT))
    op.execute(f"DROP FUNCTION log_append({_SIGNATURE})")
    op.execute(APPEND)
    op.create_table(
        "tracking_plan",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("latest_version", sa.Integer, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tracking_plan"),
    )
    op.create_index("ix_tracking_plan_name", "tracking_plan", ["workspace_id", "name"], unique=True)
    op.create_table(
        "tracking_plan_version",
        sa.Column("plan_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        # json, not jsonb: schemas come back as they were written.
        sa.Column("document", sa.JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("plan_id", "version", name="pk_tracking_plan_version"),
    )
    op.create_table(
        "source_setting",
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("source_id", sa.String, nullable=False),
        sa.Column("channel", sa.String),
        sa.Column("plan_id", sa.Uuid),
        sa.Column("plan_version", sa.Integer),
        sa.Column("mode", sa.String),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "source_id", name="pk_source_setting"),
    )
    op.create_index("ix_source_setting_revision", "source_setting", ["revision"])
    op.execute("CREATE SEQUENCE source_setting_revision")
    op.create_table(
        "touchpoint",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("channel", sa.String, nullable=False),
        sa.Column("event", sa.String),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_touchpoint"),
    )
    op.create_index("ix_touchpoint_workspace", "touchpoint", ["workspace_id", "id"])
    for table in ("tracking_plan", "tracking_plan_version", "source_setting", "touchpoint"):
        fence(table)
    op.execute(CHANGED)
