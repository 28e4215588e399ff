"""Lets tables be written anew without the rows of erased people."""

from services.kit.compaction import compactable

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    compactable()
