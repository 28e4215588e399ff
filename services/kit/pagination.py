"""Cursor paging: ``?cursor=&limit=`` → ``{"items", "next_cursor"}``."""

import base64
import binascii
from typing import Annotated, Generic, TypeVar

import msgspec
from fastapi import Depends, Query
from pydantic import BaseModel, Field

from services.kit.problems import InvalidRequest

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    items: list[T]
    next_cursor: str | None = Field(
        None, description="Pass it as `cursor` for the next page; null on the last one."
    )


def encode_cursor(*key: str | int) -> str:
    """The sort key of the last item as an opaque text."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


class Paging:
    """The paging parameters of a request. ``after`` is the decoded key of the last item seen."""

    def __init__(self, limit: int, cursor: str | None) -> None:
        self.limit = limit
        self._cursor = cursor

    def after(self, *types: type) -> tuple[str | int, ...] | None:
        """The key in the cursor, checked against ``types``; None on the first page."""
        if self._cursor is None:
            return None
        return decode_cursor(self._cursor, "#/query/cursor", *types)


def decode_cursor(cursor: str, pointer: str, *types: type) -> tuple[str | int, ...]:
    """The sort key in ``cursor``; ``InvalidRequest`` at ``pointer`` for anything we did not make.

    Numbers are bound to 64 bits, as they end up in a query.
    """
    bad = InvalidRequest.at(pointer, "Use the next_cursor of an earlier answer.")
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        key = msgspec.json.decode(base64.urlsafe_b64decode(padded))
    except (binascii.Error, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise bad from error
    if (
        not isinstance(key, list)
        or len(key) != len(types)
        or not all(type(part) is kind for part, kind in zip(key, types, strict=True))
        or any(isinstance(part, str) and "\x00" in part for part in key)
        or any(isinstance(part, int) and not 0 <= part < 2**63 for part in key)
    ):
        raise bad
    return tuple(key)


def _paging(
    limit: Annotated[int, Query(ge=1, le=500, description="Items per page.")] = 50,
    cursor: Annotated[
        str | None, Query(max_length=1000, description="`next_cursor` of the page before.")
    ] = None,
) -> Paging:
    return Paging(limit, cursor)


PagingParams = Annotated[Paging, Depends(_paging)]
