"""Columns of a block as PostgreSQL array literals.

asyncpg checks and encodes every element of a list in Python; for blocks of thousands of rows the
text form is several times cheaper to make, and PostgreSQL reads it about as fast. Join them by
``unnest``: ``= ANY`` over an array the planner cannot see compares every row with every element.
"""

import re
from collections.abc import Iterable

from sqlalchemy import TextClause, text

_ARRAY = re.compile(r"CAST\(:(\w+) AS (\w+\[\])\)")


def statement(sql: str) -> TextClause:
    """A statement whose parameters ``CAST(:name AS type[])`` are made by ``plain``, ``quoted``."""
    # Cast by way of text, or the driver would ask for a list.
    return text(_ARRAY.sub(r"CAST(CAST(:\1 AS text) AS \2)", sql))


def plain(values: Iterable[object]) -> str:
    """Of numbers, UUIDs and other values whose text has no special character; None is NULL."""
    return "{" + ",".join("NULL" if v is None else str(v) for v in values) + "}"


def quoted(values: Iterable[str | None]) -> str:
    """Of any text."""
    return "{" + ",".join("NULL" if v is None else _quoted(v) for v in values) + "}"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
