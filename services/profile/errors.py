"""What may go wrong in the profile service, as callers see it."""

from http import HTTPStatus

from services.kit.problems import Problem


class ProfileNotFound(Problem):
    """No profile has this id, now or before a merge, or no profile has this identifier."""

    type = "/problems/profile-not-found"
    title = "No such profile"
    status = HTTPStatus.NOT_FOUND


class SegmentNotFound(Problem):
    """No segment of this workspace has this id."""

    type = "/problems/segment-not-found"
    title = "No such segment"
    status = HTTPStatus.NOT_FOUND


class SegmentInUse(Problem):
    """Another segment, stage or rule reads this one; change or delete that first."""

    type = "/problems/segment-in-use"
    title = "The segment is in use"
    status = HTTPStatus.CONFLICT


class SegmentNameTaken(Problem):
    """Two segments of a workspace never share a name."""

    type = "/problems/segment-name-taken"
    title = "A segment with this name exists"
    status = HTTPStatus.CONFLICT


class RuleNotFound(Problem):
    """No rule of this workspace is registered under this id."""

    type = "/problems/rule-not-found"
    title = "No such rule"
    status = HTTPStatus.NOT_FOUND


class StageModelNotFound(Problem):
    """No stage model of this workspace is published under this id."""

    type = "/problems/stage-model-not-found"
    title = "No such stage model"
    status = HTTPStatus.NOT_FOUND


class WordingInUse(Problem):
    """Somebody agreed to this version of the text, so it stays as it is; write another version."""

    type = "/problems/wording-in-use"
    title = "The wording is in use"
    status = HTTPStatus.CONFLICT


class SubscriptionGroupNotFound(Problem):
    """No subscription group of this workspace has this id."""

    type = "/problems/subscription-group-not-found"
    title = "No such subscription group"
    status = HTTPStatus.NOT_FOUND


class LinkNotValid(Problem):
    """The link was changed on its way, is of another kind, or has expired."""

    type = "/problems/link-not-valid"
    title = "The link is not valid"
    status = HTTPStatus.NOT_FOUND
