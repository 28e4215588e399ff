"""What can go wrong in a way the caller can act on."""

from http import HTTPStatus

from services.kit.problems import Problem


class JourneyNotFound(Problem):
    type = "/problems/journey-not-found"
    title = "No such journey"
    status = HTTPStatus.NOT_FOUND


class JourneyInvalid(Problem):
    """The draft cannot be published or replayed; `errors` holds a JSON pointer per finding."""

    type = "/problems/journey-invalid"
    title = "The journey's graph is not valid"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class JourneyKeyTaken(Problem):
    type = "/problems/journey-key-taken"
    title = "Another journey has this key"
    status = HTTPStatus.CONFLICT


class JourneyStateConflict(Problem):
    type = "/problems/journey-state-conflict"
    title = "The journey's state does not allow this"
    status = HTTPStatus.CONFLICT


class NotReady(Problem):
    """The workspace enforces readiness, and the journey uses more channels than it allows."""

    type = "/problems/not-ready"
    title = "The organization is not ready for so many channels"
    status = HTTPStatus.CONFLICT


class ExperimentNotFound(Problem):
    type = "/problems/experiment-not-found"
    title = "No such experiment"
    status = HTTPStatus.NOT_FOUND


class ExperimentStateConflict(Problem):
    """Its plan is fixed once it runs, and it runs once."""

    type = "/problems/experiment-state-conflict"
    title = "The experiment's state does not allow this"
    status = HTTPStatus.CONFLICT


class PoliciesChanged(Problem):
    type = "/problems/policies-changed"
    title = "The policies were changed meanwhile"
    status = HTTPStatus.CONFLICT


class SampleRatioMismatch(Problem):
    """People were not divided as planned, so no difference between variants can be believed."""

    type = "/problems/sample-ratio-mismatch"
    title = "People are not divided as planned"
    status = HTTPStatus.CONFLICT


class ReplayNotFound(Problem):
    type = "/problems/replay-not-found"
    title = "No such replay"
    status = HTTPStatus.NOT_FOUND


class ChannelNotFound(Problem):
    type = "/problems/channel-not-found"
    title = "No such channel"
    status = HTTPStatus.NOT_FOUND


class DeviceNotFound(Problem):
    type = "/problems/device-not-found"
    title = "No such device"
    status = HTTPStatus.NOT_FOUND


class MessageTemplateNotFound(Problem):
    type = "/problems/message-template-not-found"
    title = "No such message template"
    status = HTTPStatus.NOT_FOUND


class MessageNotFound(Problem):
    type = "/problems/message-not-found"
    title = "No such message"
    status = HTTPStatus.NOT_FOUND


class MessageStateConflict(Problem):
    type = "/problems/message-state-conflict"
    title = "The message's state does not allow this"
    status = HTTPStatus.CONFLICT


class LinkNotValid(Problem):
    """The link was changed on its way, or is of another kind."""

    type = "/problems/link-not-valid"
    title = "The link is not valid"
    status = HTTPStatus.NOT_FOUND


class CallbackNotVerified(Problem):
    """Nothing of it was written."""

    type = "/problems/callback-not-verified"
    title = "The callback is not the provider's, or too old"
    status = HTTPStatus.UNAUTHORIZED


class InboxItemNotFound(Problem):
    type = "/problems/inbox-item-not-found"
    title = "No such message in this inbox"
    status = HTTPStatus.NOT_FOUND


class PersonNotFound(Problem):
    type = "/problems/profile-not-found"
    title = "No such profile"
    status = HTTPStatus.NOT_FOUND


class TaskNotFound(Problem):
    type = "/problems/task-not-found"
    title = "No such task"
    status = HTTPStatus.NOT_FOUND


class TaskStateConflict(Problem):
    """The task is done, or its person went on without it."""

    type = "/problems/task-state-conflict"
    title = "The task is not open"
    status = HTTPStatus.CONFLICT
