"""Readiness of a workspace: the newest company-wide level, and the mode it acts in."""

from fractions import Fraction
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.assessments import store as assessments
from services.assessment.readiness import store
from services.assessment.readiness.decide import Maturity, max_channels, missing, status
from services.assessment.results import service as results
from services.assessment.results.model import Results
from services.contracts.assessment import Readiness

LOOKED_AT = 10


async def read(session: AsyncSession, workspace_id: UUID) -> Readiness:
    mode = await store.mode_of(session, workspace_id)
    found = await _newest_with_level(session, workspace_id)
    maturity = None if found is None else _maturity(found)
    return Readiness(
        workspace_id=workspace_id,
        level=None if maturity is None else maturity.level,
        level_gated=None if maturity is None else maturity.level_gated,
        status=status(maturity),
        max_channels=max_channels(maturity, mode),
        mode=mode,
        reasons=missing(maturity),
        assessment_id=None if found is None else found.assessment_id,
        assessed_at=None if found is None else found.answered_at,
    )


async def _newest_with_level(session: AsyncSession, workspace_id: UUID) -> Results | None:
    """A new wave takes over once its answers yield a level, not when it is opened."""
    waves = await assessments.newest_first(session, workspace_id, LOOKED_AT, scope_kind="company")
    for wave in waves:
        if wave.responses:
            found = await results.read(session, workspace_id, wave)
            if found.level is not None:
                return found
    return None


def _maturity(found: Results) -> Maturity | None:
    if found.level is None or found.level_gated is None:
        return None
    return Maturity(
        level=found.level.level,
        level_gated=found.level_gated,
        items={i.item_id: Fraction(i.score) for i in found.items if i.score is not None},
    )
