"""Workspaces, sources, keys and the audit log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from services.kit.migrate import fence

revision = "0001"
down_revision = None

# A key names its workspace, so it is looked up before one is known. The function runs as the
# owner of the table (whom row-level security does not bind), takes one id and gives back no more
# than the check needs; the plain role can list nothing through it.
FIND_API_KEY = """
CREATE FUNCTION find_api_key(wanted uuid)
RETURNS TABLE (workspace_id uuid, source_id uuid, kind text, secret_hash bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT k.workspace_id, k.source_id, k.kind, k.secret_hash
    FROM public.api_key AS k
    WHERE k.id = wanted AND k.revoked_at IS NULL
$$
"""

REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are only ever added', TG_TABLE_NAME;
END
$$
"""


def upgrade() -> None:
    now = sa.text("now()")
    op.create_table(
        "workspace",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=now),
        sa.PrimaryKeyConstraint("id", name="pk_workspace"),
    )
    op.create_table(
        "source",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=now),
        sa.PrimaryKeyConstraint("id", name="pk_source"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_source_workspace_id"),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("source_id", sa.Uuid),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("hint", sa.Text, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=now),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_api_key"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspace.id"], name="fk_api_key_workspace_id"),
        sa.ForeignKeyConstraint(["source_id"], ["source.id"], name="fk_api_key_source_id"),
        sa.CheckConstraint("(kind = 'write') = (source_id IS NOT NULL)", name="ck_api_key_source"),
    )
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=now),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target_type", sa.Text, nullable=False),
        sa.Column("target_id", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("details", JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
    )
    for table in ("source", "api_key", "audit_log"):
        op.create_index(f"ix_{table}_workspace_id_id", table, ["workspace_id", "id"])
        fence(table)
    op.execute("ALTER TABLE workspace ENABLE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY workspace_workspace ON workspace USING "
        "(id = nullif(current_setting('app.workspace_id', true), '')::uuid)"
    )
    op.execute(FIND_API_KEY)
    op.execute(REFUSE_CHANGE)
    op.execute(
        "CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
