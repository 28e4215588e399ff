"""HTTP of the results of an assessment."""

from uuid import UUID

from fastapi import APIRouter

from services.assessment.assessments import service as assessments
from services.assessment.errors import AssessmentNotFound
from services.assessment.results import service
from services.assessment.results.model import Results
from services.kit.auth import Forbidden, Unauthenticated, UserCaller
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute

router = APIRouter(
    prefix="/api/v1/assessments",
    tags=["assessments"],
    route_class=StrictRoute,
    responses=problem_responses(Unauthenticated, Forbidden),
)


@router.get(
    "/{assessment_id}/results",
    summary="Read the results of an assessment",
    responses=problem_responses(AssessmentNotFound, InvalidRequest),
)
async def read_results(assessment_id: UUID, caller: UserCaller, session: Session) -> Results:
    """The maturity level and what it is made of.

    While the assessment is open it is computed from the answers so far; closed, it is the result
    kept at that moment.
    """
    assessment = await assessments.read(session, caller.workspace_id, assessment_id)
    return await service.read(session, caller.workspace_id, assessment)
