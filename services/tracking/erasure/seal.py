"""The notes of an erasure, sealed while its work lasts. Pure."""

from uuid import UUID

import msgspec

from services.kit import seal


class Work(msgspec.Struct):
    """Whom an erasure is about. ``identifiers`` as they stand in events."""

    subjects: list[UUID]
    identifiers: list[str] = msgspec.field(default_factory=list)


class Seal(seal.Seal[Work]):
    """Of tracking's key."""

    def __init__(self, key: str) -> None:
        super().__init__(key, Work)
