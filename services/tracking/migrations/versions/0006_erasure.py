"""Erasures, the ledger of suppressed subjects, the rewriting of tables without dead rows; how long
events of a class and refused events are kept."""

import sqlalchemy as sa
from alembic import op

from services.kit.migrate import fence

revision = "0006"
down_revision = "0005"

MOMENT = sa.DateTime(timezone=True)

# The worker serves all workspaces: it learns which have work, and nothing else, past the fence.
OPEN = """
CREATE FUNCTION erasure_open() RETURNS TABLE (workspace_id uuid, id uuid, state text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT e.workspace_id, e.id, e.state FROM public.erasure e
  WHERE e.finished_at IS NULL ORDER BY e.id
$$
"""

# What a rewritten or deleted row said stays in the table's file until its place is used again, and
# VACUUM only frees the place. CLUSTER copies the living rows to a new file, as VACUUM FULL does,
# but may be run by a function of the owner's. A row that an older snapshot still sees would be
# copied as well: then nothing is done, and false is the answer.
COMPACT = """
CREATE FUNCTION erasure_compact(name text, since xid8) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  erased_at int := age(since::xid);
BEGIN
  IF name NOT IN ('log', 'quarantine', 'identity') THEN
    RAISE EXCEPTION 'not a table that is compacted: %', name;
  END IF;
  IF EXISTS (SELECT FROM pg_stat_activity
             WHERE pid <> pg_backend_pid() AND datname = current_database()
               AND (age(backend_xmin) >= erased_at OR age(backend_xid) >= erased_at))
     OR EXISTS (SELECT FROM pg_prepared_xacts WHERE age(transaction) >= erased_at)
     OR EXISTS (SELECT FROM pg_replication_slots WHERE age(xmin) >= erased_at) THEN
    RETURN false;
  END IF;
  PERFORM set_config('lock_timeout', '2s', true);
  EXECUTE format('CLUSTER public.%I USING %I', name, 'pk_' || name);
  RETURN true;
END $$
"""

# Workers look at these over all workspaces. Refused events have rising ids, so that the oldest are
# found without reading the others.
RETAINING = """
CREATE FUNCTION retention_workspaces() RETURNS TABLE (workspace_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT DISTINCT p.workspace_id FROM public.retention_policy p ORDER BY 1
$$
"""
EXPIRE = """
CREATE FUNCTION quarantine_expire(before timestamptz, batch int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  gone int;
BEGIN
  DELETE FROM public.quarantine q USING (
    SELECT o.id FROM (
      SELECT id, received_at FROM public.quarantine ORDER BY id LIMIT batch FOR UPDATE SKIP LOCKED
    ) o WHERE o.received_at < before
  ) old WHERE q.id = old.id;
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN gone;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "suppression",
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("mark", sa.LargeBinary, nullable=False),
        sa.Column("suppressed_at", MOMENT, nullable=False),
        sa.Column("lifted_at", MOMENT),
        sa.PrimaryKeyConstraint("workspace_id", "mark", name="pk_suppression"),
    )
    op.create_table(
        "erasure",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("mark", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("work", sa.LargeBinary),
        sa.Column("stops", sa.JSON, nullable=False),
        sa.Column("stores", sa.JSON, nullable=False),
        sa.Column("requested_at", MOMENT, nullable=False),
        sa.Column("hidden_at", MOMENT),
        sa.Column("purged_at", MOMENT),
        sa.Column("finished_at", MOMENT),
        sa.Column("verified", sa.Boolean),
        sa.PrimaryKeyConstraint("id", name="pk_erasure"),
    )
    op.create_index("ix_erasure_mark", "erasure", ["workspace_id", "mark"])
    op.create_index(
        "ix_erasure_open", "erasure", ["id"], postgresql_where=sa.text("finished_at IS NULL")
    )
    op.create_table(
        "erasure_place",
        sa.Column("erasure_id", sa.Uuid, nullable=False),
        sa.Column("partition", sa.String, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.PrimaryKeyConstraint("erasure_id", "partition", "offset", name="pk_erasure_place"),
    )
    op.create_table(
        "retention_policy",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("type", sa.String),
        sa.Column("event", sa.String),
        sa.Column("source_id", sa.String),
        sa.Column("days", sa.Integer, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_retention_policy"),
    )
    op.create_index(
        "ix_retention_policy_class",
        "retention_policy",
        ["workspace_id", "type", "event", "source_id"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    for table in ("suppression", "erasure", "erasure_place", "retention_policy"):
        fence(table)
    for function in (OPEN, COMPACT, RETAINING, EXPIRE):
        op.execute(function)
