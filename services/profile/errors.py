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


class PredictionNotFound(Problem):
    """No prediction or clustering of this workspace has this id, or none of its runs has."""

    type = "/problems/prediction-not-found"
    title = "No such prediction"
    status = HTTPStatus.NOT_FOUND


class PredictionNameTaken(Problem):
    """Predictions and clusterings of a workspace share their names with nobody: rules read them."""

    type = "/problems/prediction-name-taken"
    title = "A prediction with this name exists"
    status = HTTPStatus.CONFLICT


class PredictionInUse(Problem):
    """A segment, stage or rule reads the values; change or delete that first."""

    type = "/problems/prediction-in-use"
    title = "The prediction is in use"
    status = HTTPStatus.CONFLICT


class ClusterNotReady(Problem):
    """The clustering has no such cluster, or not yet, or no simple rule describes it."""

    type = "/problems/cluster-not-ready"
    title = "The cluster cannot become a segment"
    status = HTTPStatus.CONFLICT
