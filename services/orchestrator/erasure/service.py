"""Erases people on profile's word, and gathers what is held of one."""

from services.contracts.erasure import Compacted, PersonRemoval, Removed, StoreReport
from services.kit import compaction
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.problems import Unavailable
from services.orchestrator.engine import position_store
from services.orchestrator.erasure import store
from services.orchestrator.erasure.store import PERSONAL, Person


async def erase(maker: SessionMaker, person: Person, wanted: PersonRemoval) -> Removed:
    """Takes the person out of all tables; safe to repeat.

    ``Unavailable`` while something could still bring them in: an entry of the feed that was not
    read, a message whose answer is awaited.
    """
    async with workspace_tx(maker, person.workspace_id) as session:
        if await position_store.position(session, person.workspace_id) < wanted.position:
            raise Unavailable("Profile's feed was not read up to the erasure yet.")
        if not await store.lock_unsent(session, person):
            raise Unavailable("A message to the person is being sent.")
        gone = await store.remove(session, person)
    async with workspace_tx(maker, person.workspace_id) as session:
        left = await store.left(session, person)
    stores = [
        StoreReport(store=name, erased=count, scanned=left[name], left=left[name])
        for name, count in sorted(gone.items())
    ]
    return Removed(stores=stores)


async def compact(maker: SessionMaker) -> Compacted:
    """Takes the bytes of removed rows out of the files, of all workspaces."""
    async with maker.begin() as session:
        since = await compaction.transaction_id(session)
    for row in PERSONAL:
        if not await compaction.compact(maker, row.__tablename__, since):
            return Compacted(compacted=False)
    return Compacted(compacted=True)
