"""What is computed about a person, beside what was said: computed traits and predictions."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE profile ADD COLUMN computed jsonb NOT NULL DEFAULT '{}'::jsonb")
