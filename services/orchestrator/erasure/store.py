"""SQL of what the orchestrator holds of a person: taken out, told, and looked for again.

Rows that figures are made of stay, as nobody's: each under an id of its own, so that they tell
nothing together either.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Table as SqlTable
from sqlalchemy import delete, func, literal, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.events import Outcome
from services.kit.feeds import pack, unpack
from services.orchestrator.channels.tables import ChannelRow
from services.orchestrator.devices.tables import DeviceRow
from services.orchestrator.engine.tables import (
    AnchorRow,
    ConversionRow,
    EffectRow,
    EntryCountRow,
    EntryRow,
    FeedPositionRow,
    FlowRow,
    MissedEventRow,
    OutboxRow,
    ParticipantRow,
)
from services.orchestrator.experiments.tables import ExperimentRow, ExposureRow
from services.orchestrator.holdouts.tables import (
    HoldoutArmRow,
    HoldoutGoalRow,
    HoldoutMembershipRow,
    HoldoutRow,
)
from services.orchestrator.inbox.tables import InboxItemRow
from services.orchestrator.interventions.tables import InterventionRow
from services.orchestrator.journeys.tables import JourneyRow, JourneyVersionRow
from services.orchestrator.maps.tables import JourneyMapRow
from services.orchestrator.message_templates.tables import MessageTemplateRow
from services.orchestrator.messages.tables import MessageRow, SendGateRow
from services.orchestrator.policies.tables import CapUseRow, PolicyRow, QuietQueueRow
from services.orchestrator.receipts.tables import ReceiptRow
from services.orchestrator.replay.tables import ReplayRow
from services.orchestrator.schedules.tables import ScheduleRow
from services.orchestrator.sweeps.tables import SweepRow
from services.orchestrator.tables import Table, WorkspaceRow
from services.orchestrator.tasks.tables import TaskRow

IMPERSONAL: tuple[type[Table], ...] = (
    *(WorkspaceRow, FeedPositionRow, FlowRow, ChannelRow, JourneyRow, JourneyVersionRow),
    *(JourneyMapRow, MessageTemplateRow, ReplayRow, EntryCountRow, ScheduleRow, SweepRow),
    *(ExperimentRow, PolicyRow, QuietQueueRow, HoldoutRow, HoldoutMembershipRow),
    InterventionRow,
)
PERSONAL: tuple[type[Table], ...] = (
    *(MissedEventRow, ParticipantRow, EntryRow, AnchorRow, MessageRow, SendGateRow, OutboxRow),
    *(TaskRow, EffectRow, ConversionRow, DeviceRow, ExposureRow, CapUseRow),
    *(HoldoutArmRow, HoldoutGoalRow),
    *(ReceiptRow, InboxItemRow),
)
"""In the order in which they are left: what hangs on a participant goes first."""

_DELETED: tuple[Any, ...] = (
    *(MissedEventRow, EntryRow, AnchorRow, TaskRow, EffectRow, DeviceRow),
    # Without their goals they would count as people who reached none.
    *(ExposureRow, HoldoutArmRow, HoldoutGoalRow, InboxItemRow),
)
_ON_ITS_WAY = ("claimed", "handed_over")


@dataclass(frozen=True, slots=True)
class Person:
    workspace_id: UUID
    profile_ids: Collection[UUID]
    contacts: Collection[str]

    @property
    def gates(self) -> list[str]:
        """Subjects of the send gate."""
        return [*map(str, self.profile_ids), *self.contacts]


async def lock_unsent(session: AsyncSession, person: Person) -> bool:
    """Keeps messages to the person from being claimed until the transaction ends; False when one
    is being sent."""
    rows = await session.execute(
        select(MessageRow.state)
        .where(*_messages(person), MessageRow.state.in_(("queued", "held", *_ON_ITS_WAY)))
        .with_for_update()
    )
    return not any(row.state in _ON_ITS_WAY for row in rows)


async def remove(session: AsyncSession, person: Person) -> dict[str, int]:
    """Takes the person out of every table; rows by table."""
    row: Any
    gone = {}
    for row in _DELETED:
        gone[row.__tablename__] = await _count(session, delete(row).where(*_theirs(row, person)))
    gone[ParticipantRow.__tablename__] = await _count(
        session,
        update(ParticipantRow)
        .where(*_theirs(ParticipantRow, person))
        .values(
            profile_id=func.gen_random_uuid(),
            instance_key="",
            ledger_key="",
            trigger={},
            context={},
        ),
    )
    gone[ConversionRow.__tablename__] = await _count(
        session,
        update(ConversionRow)
        .where(*_theirs(ConversionRow, person))
        .values(profile_id=func.gen_random_uuid()),
    )
    gone[ReceiptRow.__tablename__] = await _forget_receipts(session, person)
    gone[MessageRow.__tablename__] = await _count(
        session,
        update(MessageRow)
        .where(*_theirs(MessageRow, person))
        .values(
            profile_id=func.gen_random_uuid(),
            contact=None,
            content={},
            provider_id=None,
            # Servers name addresses in what they refuse.
            reason=text(
                "CASE WHEN state IN ('queued', 'held') OR reason IS NOT NULL THEN 'erased' END"
            ),
            state=text("CASE WHEN state IN ('queued', 'held') THEN 'skipped' ELSE state END"),
            run_at=None,
            reserved=[],
            fence=MessageRow.fence + 1,
        ),
    )
    gone[SendGateRow.__tablename__] = await _count(
        session, delete(SendGateRow).where(*_theirs(SendGateRow, person))
    )
    gone[CapUseRow.__tablename__] = await _count(
        session, delete(CapUseRow).where(*_theirs(CapUseRow, person))
    )
    gone[OutboxRow.__tablename__] = await _clean_outbox(session, person)
    return gone


async def _forget_receipts(session: AsyncSession, person: Person) -> int:
    """Locks the messages first: their receipts wait, and then find that there is no person."""
    statement = select(MessageRow.id).where(*_messages(person))
    ids = (await session.scalars(statement.order_by(MessageRow.id).with_for_update())).all()
    return await _count(
        session,
        delete(ReceiptRow).where(
            ReceiptRow.workspace_id == person.workspace_id, ReceiptRow.message_id.in_(ids)
        ),
    )


async def left(session: AsyncSession, person: Person) -> dict[str, int]:
    """Rows, or outcomes, of the person there are, by table."""
    found = {}
    for row in PERSONAL:
        if row is not OutboxRow:
            statement = select(func.count()).select_from(row).where(*_theirs(row, person))
            found[row.__tablename__] = int(await session.scalar(statement) or 0)
    blocks = await _outbox(session, person)
    found[OutboxRow.__tablename__] = sum(len(theirs) for _, _, theirs in blocks)
    return found


async def rows(session: AsyncSession, person: Person) -> dict[str, list[dict[str, Any]]]:
    """Everything that is held of the person, by table."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in PERSONAL:
        if row is OutboxRow:
            continue
        table: Any = row.__table__
        held = await session.execute(select(table).where(*_theirs(row, person)))
        found[row.__tablename__] = [dict(each) for each in held.mappings()]
    blocks = await _outbox(session, person)
    outcomes = [msgspec.to_builtins(each) for _, _, theirs in blocks for each in theirs]
    found[OutboxRow.__tablename__] = outcomes
    return found


def _messages(person: Person) -> tuple[Any, ...]:
    # A message to one of the person's addresses is about them, whoever's profile it came by.
    theirs = or_(
        MessageRow.profile_id.in_(person.profile_ids), MessageRow.contact.in_(person.contacts)
    )
    return MessageRow.workspace_id == person.workspace_id, theirs


def _theirs(row: Any, person: Person) -> tuple[Any, ...]:
    if row is MessageRow:
        return _messages(person)
    table: SqlTable = row.__table__
    own = table.c.workspace_id == person.workspace_id
    if row is MissedEventRow:
        participants = select(ParticipantRow.id).where(*_theirs(ParticipantRow, person))
        return own, table.c.participant_id.in_(participants)
    if row is ReceiptRow:
        return own, table.c.message_id.in_(select(MessageRow.id).where(*_messages(person)))
    if row in (SendGateRow, CapUseRow):
        return own, table.c.subject.in_(person.gates)
    return own, table.c.profile_id.in_(person.profile_ids)


async def _clean_outbox(session: AsyncSession, person: Person) -> int:
    erased = 0
    for row_id, kept, theirs in await _outbox(session, person):
        erased += len(theirs)
        changed: Mapping[str, Any] = {"count": len(kept), "data": pack(kept)}
        statement: Any = update(OutboxRow).values(changed) if kept else delete(OutboxRow)
        await session.execute(statement.where(OutboxRow.id == row_id))
    return erased


async def _outbox(
    session: AsyncSession, person: Person
) -> list[tuple[int, list[Outcome], list[Outcome]]]:
    """Blocks with outcomes of the person: (row id, those of others, theirs)."""
    ids = {str(each) for each in person.profile_ids}
    found = []
    statement = select(OutboxRow.id, OutboxRow.data).where(
        OutboxRow.workspace_id == person.workspace_id
    )
    for row_id, data in await session.execute(statement.with_for_update()):
        outcomes = unpack(data, Outcome)
        theirs = [each for each in outcomes if each.profile_id in ids]
        if theirs:
            found.append((row_id, [e for e in outcomes if e.profile_id not in ids], theirs))
    return found


async def _count(session: AsyncSession, statement: Any) -> int:
    return len((await session.execute(statement.returning(literal(1)))).all())
