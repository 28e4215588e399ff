"""HTTP of the questionnaires; what is built in is the same for every workspace."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from services.assessment.errors import QuestionnaireNotFound
from services.assessment.questionnaires.library import built_in
from services.assessment.questionnaires.model import Questionnaire, Text
from services.kit.auth import Forbidden, Unauthenticated, UserCaller
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute

router = APIRouter(
    prefix="/api/v1/questionnaires",
    tags=["questionnaires"],
    route_class=StrictRoute,
    responses=problem_responses(Unauthenticated, Forbidden),
)


class QuestionnaireSummary(BaseModel):
    """Enough to choose one; read it by `id` for its items."""

    id: str = Field(examples=["journey-maturity"])
    version: str = Field(examples=["1.0"])
    name: Text
    dimensions: int = Field(examples=[6])
    items: int = Field(examples=[33])


@router.get("", summary="List questionnaires", responses=problem_responses(InvalidRequest))
async def list_questionnaires(_: UserCaller, paging: PagingParams) -> Page[QuestionnaireSummary]:
    """The questionnaires an assessment can use, by id."""
    after = paging.after(str)
    known = sorted(built_in().values(), key=lambda questionnaire: questionnaire.id)
    rest = [q for q in known if after is None or q.id > str(after[0])]
    shown = rest[: paging.limit]
    return Page(
        items=[_summary(questionnaire) for questionnaire in shown],
        next_cursor=encode_cursor(shown[-1].id) if len(rest) > len(shown) else None,
    )


@router.get(
    "/{questionnaire_id}",
    summary="Read a questionnaire",
    responses=problem_responses(QuestionnaireNotFound),
)
async def read_questionnaire(_: UserCaller, questionnaire_id: str) -> Questionnaire:
    """One questionnaire, whole: everything needed to show it to a person, in both languages."""
    questionnaire = built_in().get(questionnaire_id)
    if questionnaire is None:
        raise QuestionnaireNotFound("Take an id from GET /api/v1/questionnaires.")
    return questionnaire


def _summary(questionnaire: Questionnaire) -> QuestionnaireSummary:
    return QuestionnaireSummary(
        id=questionnaire.id,
        version=questionnaire.version,
        name=questionnaire.name,
        dimensions=len(questionnaire.dimensions),
        items=len(questionnaire.items),
    )
