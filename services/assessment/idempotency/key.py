"""The `Idempotency-Key` header of creating requests."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Header
from pydantic import BaseModel


@dataclass(frozen=True)
class IdempotencyKey:
    """What the caller sent; ``value`` is None without the header."""

    value: str | None

    def digest(self, operation: str, body: BaseModel) -> bytes:
        """SHA-256 of what was asked for: the same key with another digest is a mistake."""
        return sha256(f"{operation}\n{body.model_dump_json()}".encode()).digest()


def _key(
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            description="Any text of your own. The same request with the same key is answered "
            "with what the first one made.",
        ),
    ] = None,
) -> IdempotencyKey:
    return IdempotencyKey(idempotency_key)


IdempotencyHeader = Annotated[IdempotencyKey, Depends(_key)]
