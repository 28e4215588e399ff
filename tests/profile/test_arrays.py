"""Array literals made of a block's columns are what PostgreSQL reads back."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from services.profile.arrays import plain, quoted, statement
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

TEXTS = ["", "plain", 'a "quoted" one', "back\\slash", "{braces}, commas", "NULL", "None", " 中文 "]


@pytest.mark.parametrize(
    ("made", "kind", "values"),
    [
        (quoted, "text[]", []),
        (quoted, "text[]", TEXTS),
        (quoted, "text[]", [""]),
        (quoted, "text[]", [None, *TEXTS, None]),
        (plain, "bigint[]", []),
        (plain, "bigint[]", [1, None, -(2**63)]),
        (plain, "boolean[]", [True, None, False]),
    ],
)
async def test_postgres_reads_what_was_meant(
    profile_database: Database, made: Any, kind: str, values: list[Any]
) -> None:
    engine = create_async_engine(profile_database.app_dsn)
    async with engine.connect() as connection:
        asked = statement(f"SELECT CAST(:values AS {kind})")
        found = await connection.execute(asked, {"values": made(iter(values))})
        assert found.scalar_one() == values
    await engine.dispose()


def test_a_text_that_postgres_refuses_shifts_no_other() -> None:
    assert quoted(["a\0b", "c"]) == '{"a\0b","c"}'
