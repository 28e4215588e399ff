"""`Idempotency-Key` on creating POSTs: it makes the id, so a repeated call creates nothing new.

A repeated call cannot be answered like the first one: its answer held a key, which is stored
nowhere. It is told the id instead (``AlreadyCreated``).
"""

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
            description="A repeated call with the same value creates nothing and is told what "
            "the first one created.",
        ),
    ] = None,
) -> UUID:
    if idempotency_key is None:
        return uuid7()
    return uuid5(caller.workspace_id, f"{request.url.path} {idempotency_key}")


NewId = Annotated[UUID, Depends(_new_id)]
