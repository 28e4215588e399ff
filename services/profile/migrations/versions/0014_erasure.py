"""Erasures, the ledger of suppressed people, rows of the feed that leave entries out, and copies of
a person's data."""

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
CREATE TABLE profile_export (
  workspace_id uuid, export_id uuid,
  profile_id uuid NOT NULL,
  state text NOT NULL,
  size_bytes bigint NOT NULL DEFAULT 0,
  requested_at timestamptz NOT NULL,
  finished_at timestamptz,
  expires_at timestamptz NOT NULL,
  CONSTRAINT pk_profile_export PRIMARY KEY (workspace_id, export_id));
CREATE INDEX ix_profile_export_open ON profile_export (export_id) WHERE state = 'running';
CREATE INDEX ix_profile_export_workspace_id_profile_id
  ON profile_export (workspace_id, profile_id);
CREATE TABLE profile_export_part (
  workspace_id uuid, export_id uuid, number integer,
  profile_id uuid NOT NULL,
  data bytea NOT NULL,
  CONSTRAINT pk_profile_export_part PRIMARY KEY (workspace_id, export_id, number));
CREATE INDEX ix_profile_export_part_workspace_id_profile_id
  ON profile_export_part (workspace_id, profile_id);
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
EXPORTS = """
CREATE FUNCTION profile_export_open() RETURNS TABLE (workspace_id uuid, export_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT e.workspace_id, e.export_id FROM public.profile_export e
  WHERE e.state = 'running' ORDER BY e.export_id
$$
"""
EXPIRE_EXPORTS = """
CREATE FUNCTION profile_export_expire(before timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH gone AS (
    DELETE FROM public.profile_export WHERE expires_at < before RETURNING workspace_id, export_id)
  DELETE FROM public.profile_export_part p USING gone
  WHERE p.workspace_id = gone.workspace_id AND p.export_id = gone.export_id
$$
"""


def upgrade() -> None:
    for statement in TABLES.split(";\n"):
        op.execute(statement)
    for table in (
        "erasure",
        "suppression",
        "consent_proof",
        "profile_export",
        "profile_export_part",
    ):
        fence(table)
    for function in (OPEN, EXPIRE, EXPORTS, EXPIRE_EXPORTS):
        op.execute(function)
    compactable()
