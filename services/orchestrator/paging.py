"""Lists ordered by id, which for UUIDv7 is the order of creation."""

from typing import Protocol, TypeVar
from uuid import UUID

from services.kit.pagination import Page, Paging, encode_cursor
from services.kit.problems import InvalidRequest


class _HasId(Protocol):
    @property
    def id(self) -> UUID: ...


T = TypeVar("T", bound=_HasId)


def after_id(paging: Paging) -> UUID | None:
    """The id of the last item of the page before; None on the first page."""
    key = paging.after(str)
    if key is None:
        return None
    try:
        return UUID(str(key[0]))
    except ValueError as error:
        raise InvalidRequest.at(
            "#/query/cursor", "Use the next_cursor of an earlier answer."
        ) from error


# Quoted: pydantic would try to make a schema of the protocol if it were evaluated.
def page_of(found: list[T], limit: int) -> "Page[T]":
    """``found`` holds up to ``limit`` + 1 items; the one too many says that there is more."""
    shown = found[:limit]
    cursor = encode_cursor(str(shown[-1].id)) if len(found) > limit else None
    return Page(items=shown, next_cursor=cursor)
