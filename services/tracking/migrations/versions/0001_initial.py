"""The log with its group commit, verdicts, readers, seen ids, quarantine and the identity map."""

import sqlalchemy as sa
from alembic import op

from services.kit.migrate import fence

revision = "0001"
down_revision = None

MOMENT = sa.DateTime(timezone=True)

# One round trip for a whole group commit. The advisory lock is the rule of kit.feeds: offsets of
# a partition become visible in their order. Row-level security holds inside: each partition's
# rows are written as its workspace.
APPEND = """
CREATE FUNCTION log_append(
  partitions text[], workspaces uuid[], counts int[], bodies bytea[],
  q_workspaces uuid[], q_sources text[], q_reasons text[], q_pointers text[], q_details text[],
  q_raws bytea[]
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
    INSERT INTO quarantine (workspace_id, source_id, received_at, reason, pointer, detail, raw)
      SELECT g.w, g.s, clock_timestamp(), g.r, g.p, g.d, g.b
      FROM unnest(q_workspaces, q_sources, q_reasons, q_pointers, q_details, q_raws)
        AS g(w, s, r, p, d, b)
      WHERE g.w = part.workspace;
  END LOOP;
END $$
"""

# The plain role may not create tables, so the weekly partitions are made by the owner's function.
PREPARE_WEEK = """
CREATE FUNCTION seen_id_prepare(this_week int, keep_weeks int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  old record;
BEGIN
  IF to_regclass('public.seen_id_' || this_week) IS NOT NULL THEN
    RETURN;
  END IF;
  EXECUTE format('CREATE TABLE IF NOT EXISTS public.seen_id_%s PARTITION OF public.seen_id '
    'FOR VALUES IN (%s)', this_week, this_week);
  FOR old IN
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'public.seen_id'::regclass
      AND substring(c.relname FROM '\\d+$')::int < this_week - keep_weeks
  LOOP
    EXECUTE format('DROP TABLE public.%I', old.relname);
  END LOOP;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "log_partition",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("end_offset", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_log_partition"),
    )
    # Its few rows are updated by every commit: room for heap-only updates on the page.
    op.execute("ALTER TABLE log_partition SET (fillfactor = 20)")
    op.create_table(
        "log",
        sa.Column("partition", sa.String, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("partition", "offset", name="pk_log"),
    )
    # Compressed by us already; PostgreSQL trying again would cost more than everything else.
    op.execute("ALTER TABLE log ALTER COLUMN data SET STORAGE EXTERNAL")
    op.create_table(
        "log_verdict",
        sa.Column("partition", sa.String, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("drop", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("partition", "offset", name="pk_log_verdict"),
    )
    op.create_table(
        "log_reader",
        sa.Column("reader", sa.String, nullable=False),
        sa.Column("partition", sa.String, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("block_id", sa.String),
        sa.Column("block_end", sa.BigInteger),
        sa.PrimaryKeyConstraint("reader", "partition", name="pk_log_reader"),
    )
    op.execute("ALTER TABLE log_reader SET (fillfactor = 20)")
    op.create_table(
        "seen_id",
        sa.Column("id", sa.LargeBinary, nullable=False),
        sa.Column("week", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", "week", name="pk_seen_id"),
        postgresql_partition_by="LIST (week)",
    )
    op.create_table(
        "quarantine",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("source_id", sa.String, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("pointer", sa.String, nullable=False),
        sa.Column("detail", sa.String, nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine"),
    )
    op.create_index("ix_quarantine_workspace", "quarantine", ["workspace_id", "id"])
    op.create_table(
        "identity",
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("subject_id", sa.Uuid, nullable=False),
        sa.Column("profile_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "subject_id", name="pk_identity"),
    )
    op.create_index("ix_identity_profile", "identity", ["workspace_id", "profile_id"])
    op.create_index("ix_identity_version", "identity", ["workspace_id", "version"])
    for table in ("log", "log_verdict", "quarantine", "identity"):
        fence(table)
    op.execute(APPEND)
    op.execute(PREPARE_WEEK)
