"""Assessments, responses, results, the readiness policy and idempotency keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from services.kit.migrate import fence

revision = "0001"
down_revision = None

MOMENT = sa.DateTime(timezone=True)


def _of_assessment(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["workspace_id", "assessment_id"],
        ["assessment.workspace_id", "assessment.id"],
        name=f"fk_{table}_assessment",
        ondelete="CASCADE",
    )


def upgrade() -> None:
    op.create_table(
        "assessment",
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("questionnaire_id", sa.String, nullable=False),
        sa.Column("questionnaire_version", sa.String, nullable=False),
        sa.Column("scope_kind", sa.String, nullable=False),
        sa.Column("scope_name", sa.String),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("closed_at", MOMENT),
        sa.PrimaryKeyConstraint("workspace_id", "id", name="pk_assessment"),
    )
    op.create_table(
        "response",
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("assessment_id", sa.Uuid, nullable=False),
        sa.Column("respondent", sa.String),
        sa.Column("respondent_group", sa.String, nullable=False),
        sa.Column("answers", JSONB, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name="pk_response"),
        sa.UniqueConstraint(
            "workspace_id",
            "assessment_id",
            "respondent",
            name="uq_response_workspace_id_assessment_id_respondent",
        ),
        _of_assessment("response"),
    )
    op.create_index("ix_response_assessment", "response", ["workspace_id", "assessment_id", "id"])
    op.create_table(
        "result",
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("assessment_id", sa.Uuid, nullable=False),
        sa.Column("body", JSONB, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "assessment_id", name="pk_result"),
        _of_assessment("result"),
    )
    op.create_table(
        "readiness_policy",
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("mode", sa.String, nullable=False),
        sa.Column("reason", sa.String),
        sa.Column("updated_by", sa.String, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", name="pk_readiness_policy"),
    )
    op.create_table(
        "idempotency",
        sa.Column("workspace_id", sa.Uuid, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("resource_id", sa.Uuid, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "key", name="pk_idempotency"),
    )
    for table in ("assessment", "response", "result", "readiness_policy", "idempotency"):
        fence(table)
