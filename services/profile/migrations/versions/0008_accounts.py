"""Accounts, who is in them, and segments of accounts."""

from alembic import op

from services.kit.migrate import fence

revision = "0008"
down_revision = "0007"

TABLES = {
    "account": """
        workspace_id uuid, account_id uuid,
        group_id text NOT NULL,
        traits jsonb NOT NULL DEFAULT '{}'::jsonb,
        trait_meta jsonb NOT NULL DEFAULT '{}'::jsonb,
        parent_id uuid,
        first_seen_at timestamptz NOT NULL,
        last_seen_at timestamptz NOT NULL,
        CONSTRAINT pk_account PRIMARY KEY (workspace_id, account_id)""",
    "account_member": """
        workspace_id uuid, account_id uuid, profile_id uuid,
        roles text[] NOT NULL,
        roles_at timestamptz,
        since timestamptz NOT NULL,
        last_at timestamptz NOT NULL,
        removed_at timestamptz,
        source text NOT NULL,
        CONSTRAINT pk_account_member PRIMARY KEY (workspace_id, account_id, profile_id)""",
    "account_sweep": """
        workspace_id uuid, account_id uuid,
        after uuid NOT NULL,
        CONSTRAINT pk_account_sweep PRIMARY KEY (workspace_id, account_id)""",
    "account_segment": """
        workspace_id uuid, segment_id uuid,
        name text NOT NULL,
        description text NOT NULL,
        definition jsonb NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT pk_account_segment PRIMARY KEY (workspace_id, segment_id)""",
    "account_membership": """
        workspace_id uuid, segment_id uuid, account_id uuid,
        entered_at timestamptz NOT NULL,
        CONSTRAINT pk_account_membership PRIMARY KEY (workspace_id, segment_id, account_id)""",
}
INDEXES = (
    ("UNIQUE INDEX uq", "account", "group_id"),
    ("INDEX ix", "account", "parent_id"),
    ("INDEX ix", "account_member", "profile_id", "last_at"),
    ("UNIQUE INDEX uq", "account_segment", "name"),
    ("INDEX ix", "account_membership", "account_id"),
)


def upgrade() -> None:
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
        fence(table)
    for kind, table, *names in INDEXES:
        name = "_".join([kind, table, "workspace_id", *names])
        op.execute(f"CREATE {name} ON {table} (workspace_id, {', '.join(names)})")
