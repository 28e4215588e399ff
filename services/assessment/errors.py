"""What can go wrong here and what the caller is told."""

from http import HTTPStatus

from services.kit.problems import Problem


class QuestionnaireNotFound(Problem):
    type = "/problems/questionnaire-not-found"
    title = "No such questionnaire"
    status = HTTPStatus.NOT_FOUND


class AssessmentNotFound(Problem):
    type = "/problems/assessment-not-found"
    title = "No such assessment"
    status = HTTPStatus.NOT_FOUND


class AssessmentClosed(Problem):
    type = "/problems/assessment-closed"
    title = "The assessment takes no more answers"
    status = HTTPStatus.CONFLICT


class ResponseNotFound(Problem):
    type = "/problems/response-not-found"
    title = "No such response"
    status = HTTPStatus.NOT_FOUND


class ResponseExists(Problem):
    type = "/problems/response-exists"
    title = "This respondent has answered already"
    status = HTTPStatus.CONFLICT


class IdempotencyKeyReused(Problem):
    type = "/problems/idempotency-key-reused"
    title = "The idempotency key was used for another request"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
