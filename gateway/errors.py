"""The problems the gateway answers with itself."""

from http import HTTPStatus

from services.kit.problems import Problem, Unavailable


class BadRequest(Problem):
    """The request is one that servers read in different ways; it is refused whole."""

    type = "/problems/ambiguous-request"
    title = "The request can be read in more than one way"
    status = HTTPStatus.BAD_REQUEST

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Connection": "close"})


class HeadersTooLarge(Problem):
    type = "/problems/headers-too-large"
    title = "The headers are too large"
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Connection": "close"})


class AddressTooLong(Problem):
    type = "/problems/address-too-long"
    title = "The address is too long"
    status = HTTPStatus.REQUEST_URI_TOO_LONG


class BodyTooSlow(Problem):
    type = "/problems/body-too-slow"
    title = "The body took too long to arrive"
    status = HTTPStatus.REQUEST_TIMEOUT


class InvalidKey(Problem):
    type = "/problems/invalid-key"
    title = "The key is missing or not valid"
    status = HTTPStatus.UNAUTHORIZED


class WrongKindOfKey(Problem):
    type = "/problems/wrong-kind-of-key"
    title = "This kind of key does not open this door"
    status = HTTPStatus.FORBIDDEN


class NotFound(Problem):
    title = "Not Found"
    status = HTTPStatus.NOT_FOUND


class UnknownCall(Problem):
    type = "/problems/unknown-call"
    title = "There is no such ingestion call"
    status = HTTPStatus.NOT_FOUND


class KeyNotFound(Problem):
    type = "/problems/key-not-found"
    title = "No such key"
    status = HTTPStatus.NOT_FOUND


class SourceNotFound(Problem):
    type = "/problems/source-not-found"
    title = "No such source"
    status = HTTPStatus.NOT_FOUND


class AlreadyCreated(Problem):
    """The same ``Idempotency-Key`` came before; ``id`` is what it created."""

    type = "/problems/already-created"
    title = "This was created by an earlier call"
    status = HTTPStatus.CONFLICT


class LastSecretKey(Problem):
    type = "/problems/last-secret-key"
    title = "The last secret key cannot be revoked"
    status = HTTPStatus.CONFLICT


class KeyStoreUnavailable(Unavailable):
    """The key could not be checked. Never a 401: SDKs throw their events away on one."""

    def __init__(self) -> None:
        super().__init__("Keys cannot be checked at the moment; try again.")


class UpstreamUnavailable(Unavailable):
    """A service behind the gateway does not answer; ``service`` names it."""

    def __init__(self, service: str) -> None:
        super().__init__(f"The service {service} does not answer.")
        self.members = {"service": service}
