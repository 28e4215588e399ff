"""Columns of a block as PostgreSQL array literals.

asyncpg checks and encodes every element of a list in Python; for blocks of thousands of rows the
text form is several times cheaper to make, and PostgreSQL reads it about as fast. Join them by
``unnest``: ``= ANY`` over an array the planner cannot see compares every row with every element.
"""

import re
from collections.abc import Iterable

from sqlalchemy import TextClause, text

_ARRAY = re.compile(r"CAST\(:(\w+) AS (\w+\[\])\)")
_NUL = "\0"


def statement(sql: str) -> TextClause:
    """A statement whose parameters ``CAST(:name AS type[])`` are made by ``plain``, ``quoted``."""
    # Cast by way of text, or the driver would ask for a list.
    return text(_ARRAY.sub(r"CAST(CAST(:\1 AS text) AS \2)", sql))


def plain(values: Iterable[object]) -> str:
    """Of numbers, UUIDs and other values whose text has no special character; None is NULL."""
    # No such text holds a None, so all are found at once.
    return "{" + ",".join(map(str, values)).replace("None", "NULL") + "}"


def quoted(values: Iterable[str | None]) -> str:
    """Of any text."""
    found = list(values)
    if not found:
        return "{}"
    if None in found:
        return "{" + ",".join(["NULL" if v is None else f'"{_escaped(v)}"' for v in found]) + "}"
    # Escaping all of them at once, between what no text of PostgreSQL holds, takes a third of it.
    joined = _NUL.join(found)  # type: ignore[arg-type]
    if joined.count(_NUL) >= len(found):
        return "{" + ",".join([f'"{_escaped(str(v))}"' for v in found]) + "}"
    return '{"' + _escaped(joined).replace(_NUL, '","') + '"}'


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
