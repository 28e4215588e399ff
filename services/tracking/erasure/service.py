"""Begins erasures and lifts suppressions; the worker does the rest."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.ids import uuid7
from services.tracking.erasure import store, suppression
from services.tracking.erasure.seal import Seal, Work
from services.tracking.log.store import SEQUENCER
from services.tracking.tables import ErasureRow


async def begin(
    session: AsyncSession,
    seal: Seal,
    workspace_id: UUID,
    profile_id: UUID,
    now: datetime,
    *,
    subjects: Collection[UUID] = (),
    since: datetime | None = None,
) -> ErasureRow:
    """Suppresses a person and has them erased.

    ``subjects``: those the caller knows beside the ones of our own map. An erasure of the same
    profile that is not finished, or was asked for at ``since`` or later, is answered instead, if
    that covers all of them.
    """
    person = await store.person(session, workspace_id, profile_id)
    mark = seal.mark(person[0])
    whole = list(dict.fromkeys([*person, *subjects]))
    last = await store.latest(session, workspace_id, mark)
    if last is not None:
        if since is not None and last.requested_at >= since:
            return last
        if last.work is not None and set(whole) <= set(seal.open(last.work).subjects):
            return last
    await suppression.add(session, seal, workspace_id, whole, now)
    row = ErasureRow(
        id=uuid7(),
        workspace_id=workspace_id,
        mark=mark,
        state="suppressed",
        work=seal.close(Work(whole)),
        # Behind the ledger's lock: the sequencer knows of the person from the next row on.
        stops=await store.positions(session, workspace_id, SEQUENCER),
        stores=[],
        requested_at=now,
    )
    session.add(row)
    await session.flush()
    return row
