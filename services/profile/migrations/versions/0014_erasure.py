"""Erasures, the ledger of suppressed people, and rows of the feed that leave entries out."""

from alembic import op

from services.kit.compaction import compactable
from services.kit.migrate import fence

revision = "0014"
down_revision = "0013"

TABLES = """
CREATE TABLE erasure (
  workspace_id uuid, erasure_id uuid,
  reason text NOT NULL,
  work bytea,
  feed_end bigint NOT NULL,
  feed_done bigint NOT NULL DEFAULT 0,
  compacted_at timestamptz,
  tracking_id uuid,
  parts jsonb NOT NULL DEFAULT '{}'::jsonb,
  requested_at timestamptz NOT NULL,
  finished_at timestamptz,
  verified boolean,
  CONSTRAINT pk_erasure PRIMARY KEY (workspace_id, erasure_id));
CREATE INDEX ix_erasure_open ON erasure (erasure_id) WHERE finished_at IS NULL;
CREATE TABLE suppression (
  workspace_id uuid, mark bytea,
  erasure_id uuid NOT NULL,
  suppressed_at timestamptz NOT NULL,
  lifted_at timestamptz,
  CONSTRAINT pk_suppression PRIMARY KEY (workspace_id, mark));
CREATE TABLE consent_proof (
  workspace_id uuid, proof_id uuid,
  erasure_id uuid NOT NULL,
  purpose text NOT NULL,
  state text NOT NULL,
  at timestamptz NOT NULL,
  source text NOT NULL,
  keep_until timestamptz NOT NULL,
  CONSTRAINT pk_consent_proof PRIMARY KEY (workspace_id, proof_id));
CREATE INDEX ix_consent_proof_workspace_id_erasure_id ON consent_proof (workspace_id, erasure_id);
ALTER TABLE feed ADD COLUMN "drop" bytea
"""

# The worker serves all workspaces: it learns which have work, and nothing else, past the fence.
OPEN = """
CREATE FUNCTION erasure_open() RETURNS TABLE (workspace_id uuid, erasure_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT e.workspace_id, e.erasure_id FROM public.erasure e
  WHERE e.finished_at IS NULL ORDER BY e.erasure_id
$$
"""
EXPIRE = """
CREATE FUNCTION consent_proof_expire(before timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  DELETE FROM public.consent_proof WHERE keep_until < before
$$
"""


def upgrade() -> None:
    for statement in TABLES.split(";\n"):
        op.execute(statement)
    for table in ("erasure", "suppression", "consent_proof"):
        fence(table)
    op.execute(OPEN)
    op.execute(EXPIRE)
    compactable()
