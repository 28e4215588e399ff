"""What tracking refuses, as problems; ingestion answers carry ``code`` and ``message`` as well."""

from http import HTTPStatus

from services.kit.problems import Problem


class InvalidEvent(Problem):
    """The one event of the request cannot be accepted; ``errors`` names the field."""

    type = "/problems/invalid-event"
    title = "The event is not valid"
    status = HTTPStatus.BAD_REQUEST

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(detail, errors=[{"pointer": pointer, "detail": detail}])


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
