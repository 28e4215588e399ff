"""Writes tables anew without their dead rows, which else lie in the files for an unknown time."""

from alembic import op
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.postgres import SessionMaker

# CLUSTER copies the living rows to a new file, as VACUUM FULL does, but may be run by a function of
# the owner's. A row that an older snapshot still sees would be copied as well: then nothing is
# done, and false is the answer.
_FUNCTION = """
CREATE FUNCTION erasure_compact(name text, since xid8) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  erased_at int := age(since::xid);
BEGIN
  IF NOT EXISTS (SELECT FROM pg_class WHERE relname = name AND relrowsecurity
                 AND relnamespace = 'public'::regnamespace) THEN
    RAISE EXCEPTION 'not a table that is compacted: %', name;
  END IF;
  IF EXISTS (SELECT FROM pg_stat_activity
             WHERE pid <> pg_backend_pid() AND datname = current_database()
               AND (age(backend_xmin) >= erased_at OR age(backend_xid) >= erased_at))
     OR EXISTS (SELECT FROM pg_prepared_xacts WHERE age(transaction) >= erased_at)
     OR EXISTS (SELECT FROM pg_replication_slots WHERE age(xmin) >= erased_at) THEN
    RETURN false;
  END IF;
  PERFORM set_config('lock_timeout', '2s', true);
  EXECUTE format('CLUSTER public.%I USING %I', name, 'pk_' || name);
  RETURN true;
END $$
"""
_COMPACT = text("SELECT erasure_compact(:name, CAST(:since AS xid8))")
_XID = text("SELECT pg_current_xact_id()")
_LOCK_NOT_AVAILABLE = "55P03"


def compactable() -> None:
    """In a migration: lets the plain role compact every fenced table (``pk_<name>`` its key)."""
    op.execute(_FUNCTION)


async def transaction_id(session: AsyncSession) -> int:
    """Of this transaction; later ones are higher."""
    found: int = (await session.scalars(_XID)).one()
    return found


async def compact(maker: SessionMaker, name: str, since: int) -> bool:
    """Writes a table anew without dead rows, in a transaction of its own.

    False while somebody could still see rows that were removed before transaction ``since``, or
    has the table locked: to be tried again.
    """
    try:
        async with maker.begin() as session:
            return bool(await session.scalar(_COMPACT, {"name": name, "since": since}))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise
        return False
