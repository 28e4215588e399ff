"""Begins erasures: before the answer the person is gone from every table, and suppressed."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.contracts.erasure import StoreReport
from services.kit.ids import uuid7
from services.kit.seal import Seal
from services.profile.account_segments import audience
from services.profile.clock import to_ms
from services.profile.erasure import packed, store, suppression
from services.profile.erasure.personal import Person
from services.profile.erasure.tables import ErasureRow
from services.profile.feed import store as feed
from services.profile.identity import store as identity
from services.profile.profiles.service import not_found
from services.profile.stream import store as stream

OWN = "profile"
OTHERS = ("tracking", "orchestrator")
KEEP_PROOF = timedelta(days=184)
"""Six months: an erased person is sent nothing any more, so it counts from now."""


async def begin(
    session: AsyncSession,
    seal: Seal[Person],
    workspace_id: UUID,
    profile_id: UUID,
    reason: str,
    now: datetime,
) -> ErasureRow:
    """Removes the person and those merged into them, suppresses them and tells of it.

    Whoever was erased before answers with that erasure; ``ProfileNotFound`` for unknown ids.
    """
    await stream.lock(session, workspace_id)
    asked = str(profile_id)
    living = (await identity.canonical(session, workspace_id, [asked])).get(asked)
    if living is None:
        return await _erased_before(session, seal, workspace_id, profile_id)
    person = await store.person(session, workspace_id, UUID(living))
    erasure_id = uuid7()
    await suppression.add(session, seal, workspace_id, erasure_id, person.subject_ids, now)
    await store.keep_proof(session, workspace_id, erasure_id, person, now + KEEP_PROOF)
    stores = await remove(session, workspace_id, person, now)
    told = Change(
        "profile.erased", living, to_ms(now), {"subject_ids": [str(s) for s in person.subject_ids]}
    )
    end = await feed.append(session, workspace_id, [told])
    row = ErasureRow(
        workspace_id=workspace_id,
        erasure_id=erasure_id,
        reason=reason,
        work=seal.close(person),
        feed_end=end,
        feed_done=0,
        parts={OWN: part("pending", stores), **{name: part("pending") for name in OTHERS}},
        requested_at=now,
    )
    await store.add(session, row)
    return row


async def remove(
    session: AsyncSession, workspace_id: UUID, person: Person, now: datetime
) -> list[StoreReport]:
    """Takes the person out of the tables; their companies' segments follow."""
    accounts = await store.accounts_of(session, workspace_id, person)
    gone = await store.remove(session, workspace_id, person)
    gone["quarantine"] = await packed.clean_quarantine(session, workspace_id, person)
    if accounts:
        changes = await audience.follow(session, workspace_id, accounts, set(), to_ms(now))
        await feed.append(session, workspace_id, changes)
    return [StoreReport(store=table, erased=count) for table, count in gone.items()]


def part(
    state: str, stores: list[StoreReport] | None = None, *, verified: bool | None = None
) -> dict[str, object]:
    """What is known of one service, as it is kept."""
    lines = [each.model_dump() for each in stores or ()]
    return {"state": state, "verified": verified, "stores": lines}


async def _erased_before(
    session: AsyncSession, seal: Seal[Person], workspace_id: UUID, profile_id: UUID
) -> ErasureRow:
    erasure_id = await suppression.erasure_of(session, seal, workspace_id, profile_id)
    if erasure_id is None:
        raise not_found(profile_id)
    row = await store.find(session, workspace_id, erasure_id)
    assert row is not None, "a suppression names its erasure"
    return row
