"""Pages of rows in the order of their time-ordered ids."""

from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel

from services.kit.pagination import Page, Paging, encode_cursor
from services.kit.problems import InvalidRequest


class Identified(BaseModel):
    """What a list can hold."""

    id: UUID


T = TypeVar("T", bound=Identified)


def after_id(paging: Paging) -> UUID | None:
    """The id the last page ended with."""
    key = paging.after(str)
    if key is None:
        return None
    try:
        return UUID(str(key[0]))
    except ValueError as error:
        detail = "Use the next_cursor of an earlier answer."
        raise InvalidRequest.at("#/query/cursor", detail) from error


def page_of(items: Sequence[T], paging: Paging) -> Page[T]:
    """``items`` were asked for with ``limit=paging.limit + 1``; the odd one tells of more."""
    shown = list(items[: paging.limit])
    more = len(items) > paging.limit
    return Page(items=shown, next_cursor=encode_cursor(str(shown[-1].id)) if more else None)
