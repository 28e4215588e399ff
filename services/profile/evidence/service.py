"""Profile's share of the evidence: who is known, who was asked, what is defined of people.

That events are resolved to known people (``identity_match_rate``) is told by tracking, which has
them all.
"""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.evidence import Evidence, Indicator
from services.profile.evidence import store

ACTIVE_DAYS = 30
NOW = 1
"""Days of what is counted as it is at this moment."""


async def gather(session: AsyncSession, workspace_id: UUID, now: datetime) -> Evidence:
    """All of it as of ``now``."""
    active, active_known = await store.active(
        session, workspace_id, now - timedelta(days=ACTIVE_DAYS)
    )
    known, asked = await store.asked(session, workspace_id)
    used, registered = await store.traits(session, workspace_id)
    segments, models = await store.defined(session, workspace_id)
    return Evidence(
        computed_at=now,
        indicators=[
            _share("known_profile_share", active_known, active, ACTIVE_DAYS),
            _share("marketing_consent_share", asked, known, NOW),
            _share("registered_trait_share", registered, used, NOW),
            _count("segments", segments),
            _count("stage_models", models),
        ],
    )


def _share(name: str, part: int, whole: int, days: int) -> Indicator:
    return Indicator(
        id=name,
        kind="census",
        value=part / whole if whole else None,
        numerator=part,
        denominator=whole,
        n=whole,
        window_days=days,
    )


def _count(name: str, count: int) -> Indicator:
    return Indicator(
        id=name,
        kind="census",
        value=count,
        numerator=count,
        denominator=None,
        n=count,
        window_days=NOW,
    )
