"""`Idempotency-Key` on creating POSTs: the key makes the id, so a repeated call finds the first."""

from typing import Annotated
from uuid import UUID, uuid5

from fastapi import Depends, Header, Request

from services.kit.auth import UserCaller
from services.kit.ids import uuid7


def _new_id(
    request: Request,
    caller: UserCaller,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            description="Repeat a call with the same key and it creates nothing new.",
        ),
    ] = None,
) -> UUID:
    if idempotency_key is None:
        return uuid7()
    return uuid5(caller.workspace_id, f"{request.url.path} {idempotency_key}")


NewId = Annotated[UUID, Depends(_new_id)]
