"""Counts of participants and messages of a set of profiles."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.orchestrator import JourneyImpact
from services.orchestrator.engine.tables import ParticipantRow
from services.orchestrator.journeys.tables import JourneyRow, JourneyVersionRow
from services.orchestrator.messages.tables import MessageRow


async def journeys(
    session: AsyncSession, workspace_id: UUID, profile_ids: Collection[UUID]
) -> list[JourneyImpact]:
    left = ParticipantRow.state == "exited"
    statement = (
        select(
            JourneyRow.id,
            JourneyRow.name,
            JourneyVersionRow.number,
            func.count().filter(~left),
            func.count().filter(left),
        )
        .select_from(JourneyRow)
        # By journey and profile there is an index; over all participants of a person none.
        .join(ParticipantRow, ParticipantRow.journey_id == JourneyRow.id)
        .join(JourneyVersionRow, JourneyVersionRow.id == ParticipantRow.version_id)
        .where(
            JourneyRow.workspace_id == workspace_id,
            ParticipantRow.workspace_id == workspace_id,
            ParticipantRow.profile_id.in_(list(profile_ids)),
        )
        .group_by(JourneyRow.id, JourneyRow.name, JourneyVersionRow.number)
        .order_by(JourneyRow.name, JourneyRow.id, JourneyVersionRow.number)
    )
    return [
        JourneyImpact(
            journey_id=journey_id, name=name, version=number, participating=live, exited=past
        )
        for journey_id, name, number, live, past in await session.execute(statement)
    ]


async def messages(
    session: AsyncSession, workspace_id: UUID, profile_ids: Collection[UUID]
) -> dict[str, int]:
    statement = (
        select(MessageRow.state, func.count())
        .where(
            MessageRow.workspace_id == workspace_id,
            MessageRow.profile_id.in_(list(profile_ids)),
            MessageRow.replay_id.is_(None),
        )
        .group_by(MessageRow.state)
        .order_by(MessageRow.state)
    )
    return {row[0]: row[1] for row in await session.execute(statement)}
