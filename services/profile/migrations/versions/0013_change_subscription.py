"""Partners who are told of changes by webhook."""

from alembic import op

from services.kit.migrate import fence

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE change_subscription (
          workspace_id uuid, subscription_id uuid,
          url text NOT NULL,
          types text[] NOT NULL,
          secret text NOT NULL,
          state text NOT NULL,
          "offset" bigint NOT NULL,
          entry integer NOT NULL,
          sent_offset bigint,
          sent_entry integer,
          attempts integer NOT NULL DEFAULT 0,
          failing_since timestamptz,
          next_attempt_at timestamptz NOT NULL,
          last_answer text NOT NULL DEFAULT '',
          created_at timestamptz NOT NULL,
          CONSTRAINT pk_change_subscription PRIMARY KEY (workspace_id, subscription_id))
    """)
    fence("change_subscription")
