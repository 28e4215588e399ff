"""Mails written in MJML, and mails whose text is made from their html."""

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.execute("ALTER TABLE message_template ADD COLUMN mjml VARCHAR")
    op.execute("ALTER TABLE message_template ALTER COLUMN text DROP NOT NULL")
