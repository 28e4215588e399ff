"""Who may administrate: a caller with the scope ``admin``."""

from typing import Annotated

from fastapi import Depends

from services.kit.auth import Caller, Forbidden, UserCaller


def _admin(caller: UserCaller) -> Caller:
    if "admin" not in caller.scopes:
        raise Forbidden("This needs the scope admin.")
    return caller


AdminCaller = Annotated[Caller, Depends(_admin)]
