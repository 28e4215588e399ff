"""What tracking refuses, as problems; ingestion answers carry ``code`` and ``message`` as well."""

from collections.abc import Sequence
from http import HTTPStatus

from services.contracts.tracking import Violation
from services.kit.problems import Problem


class InvalidEvent(Problem):
    """The one event of the request cannot be accepted; ``errors`` names the field."""

    type = "/problems/invalid-event"
    title = "The event is not valid"
    status = HTTPStatus.BAD_REQUEST

    def __init__(self, pointer: str, detail: str) -> None:
        # SDKs show `message` and nothing else, so the field is in it.
        said = detail if pointer == "#" else f"{pointer}: {detail}"
        super().__init__(said, errors=[{"pointer": pointer, "detail": detail}])


class AccountNotFound(Problem):
    """No account of this workspace has this id."""

    type = "/problems/account-not-found"
    title = "No such account"
    status = HTTPStatus.NOT_FOUND


class UnknownCall(Problem):
    type = "/problems/unknown-call"
    title = "There is no such ingestion call"
    status = HTTPStatus.NOT_FOUND


class UnknownPartition(Problem):
    type = "/problems/unknown-partition"
    title = "There is no such partition of the log"
    status = HTTPStatus.NOT_FOUND


class QuarantinedEventNotFound(Problem):
    type = "/problems/quarantined-event-not-found"
    title = "There is no such event in quarantine"
    status = HTTPStatus.NOT_FOUND


class PlanViolated(Problem):
    """A single event that its source's tracking plan blocks; ``errors`` names every field."""

    type = "/problems/tracking-plan-violated"
    title = "The tracking plan of the source blocks this event"
    status = HTTPStatus.BAD_REQUEST

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__(
            "; ".join(f"#{v.field}: {v.description}" for v in violations[:3]),
            errors=[{"pointer": f"#{v.field}", "detail": v.description} for v in violations],
        )


class TrackingPlanNotFound(Problem):
    type = "/problems/tracking-plan-not-found"
    title = "There is no such tracking plan, or no such version of it"
    status = HTTPStatus.NOT_FOUND


class TrackingPlanNameTaken(Problem):
    type = "/problems/tracking-plan-name-taken"
    title = "Another tracking plan has this name"
    status = HTTPStatus.CONFLICT


class TouchpointNotFound(Problem):
    type = "/problems/declared-touchpoint-not-found"
    title = "There is no such declared touchpoint"
    status = HTTPStatus.NOT_FOUND


class TooManyTouchpoints(Problem):
    type = "/problems/too-many-touchpoints"
    title = "No more touchpoints can be declared"
    status = HTTPStatus.CONFLICT


class WebhookNotFound(Problem):
    type = "/problems/webhook-not-found"
    title = "The source has no webhook"
    status = HTTPStatus.NOT_FOUND


class InvalidSignature(Problem):
    """Nothing of the request was kept."""

    type = "/problems/invalid-signature"
    title = "The webhook is not signed as its source asks for"
    status = HTTPStatus.UNAUTHORIZED


class TooManyExports(Problem):
    """An export reads whole tables, so few may run at once; one per workspace."""

    type = "/problems/too-many-exports"
    title = "Another export is running"
    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Retry-After": "30"})


class ErasureNotFound(Problem):
    type = "/problems/erasure-not-found"
    title = "No such erasure"
    status = HTTPStatus.NOT_FOUND


class RetentionPolicyNotFound(Problem):
    type = "/problems/retention-policy-not-found"
    title = "There is no such retention policy"
    status = HTTPStatus.NOT_FOUND


class TooManyRetentionPolicies(Problem):
    type = "/problems/too-many-retention-policies"
    title = "No more retention policies can be made"
    status = HTTPStatus.CONFLICT
