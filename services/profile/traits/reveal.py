"""Who may see sensitive traits: ``?reveal=sensitive`` with the scope for it."""

from typing import Annotated, Literal

from fastapi import Depends, Query

from services.kit.auth import Forbidden, UserCaller

SCOPE = "traits:reveal"


def _reveal(
    caller: UserCaller,
    reveal: Annotated[
        Literal["sensitive"] | None,
        Query(
            description="Show traits of the classes sensitive and minor as well. Needs the scope "
            f"`{SCOPE}`, which secret keys do not have."
        ),
    ] = None,
) -> bool:
    if reveal is None:
        return False
    if caller.kind != "service" and SCOPE not in caller.scopes:
        raise Forbidden(f"To see sensitive traits needs the scope {SCOPE}.")
    return True


Reveal = Annotated[bool, Depends(_reveal)]
"""Whether the answer may hold what is masked otherwise."""
