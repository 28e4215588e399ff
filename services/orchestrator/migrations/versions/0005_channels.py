"""Devices that pushes reach, and what message templates say to some kinds of channels only."""

from alembic import op

from services.kit.migrate import fence

revision = "0005"
down_revision = "0004"

DEVICE = """
CREATE TABLE device (
  id UUID NOT NULL,
  workspace_id UUID NOT NULL,
  profile_id UUID NOT NULL,
  kind VARCHAR NOT NULL,
  app VARCHAR NOT NULL,
  token VARCHAR NOT NULL,
  keys JSONB,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  last_seen_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT pk_device PRIMARY KEY (id),
  CONSTRAINT uq_device_workspace_id_kind_app_token UNIQUE (workspace_id, kind, app, token)
)
"""


def upgrade() -> None:
    op.execute(DEVICE)
    op.execute(
        "CREATE INDEX ix_device_workspace_id_profile_id ON device (workspace_id, profile_id)"
    )
    fence("device")
    op.execute("ALTER TABLE message_template ADD COLUMN extras JSONB")
