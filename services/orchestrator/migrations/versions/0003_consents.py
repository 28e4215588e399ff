"""The gate knows channels and contact points; a message says which consents it needs."""

from alembic import op

revision = "0003"
down_revision = "0002"

GATE = """
ALTER TABLE send_gate
  ADD COLUMN channel varchar NOT NULL DEFAULT '*',
  ADD COLUMN contact_point varchar NOT NULL DEFAULT '*',
  DROP CONSTRAINT pk_send_gate,
  ADD CONSTRAINT pk_send_gate
    PRIMARY KEY (workspace_id, subject, purpose, channel, contact_point)
"""
MESSAGE = """
ALTER TABLE message
  ADD COLUMN required varchar[] NOT NULL DEFAULT '{}',
  ADD COLUMN presumed varchar[] NOT NULL DEFAULT '{}'
"""


def upgrade() -> None:
    op.execute(GATE)
    op.execute(MESSAGE)
    op.execute("UPDATE message SET required = ARRAY['marketing'] WHERE purpose = 'marketing'")
    for table, column in (
        ("send_gate", "channel"),
        ("send_gate", "contact_point"),
        ("message", "required"),
        ("message", "presumed"),
    ):
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT")
