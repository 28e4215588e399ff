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


class ChangeSubscriptionNotFound(Problem):
    """No subscription to changes of this workspace has this id."""

    type = "/problems/change-subscription-not-found"
    title = "No such subscription to changes"
    status = HTTPStatus.NOT_FOUND


class ComputedTraitNotFound(Problem):
    """No computed trait of this workspace has this id."""

    type = "/problems/computed-trait-not-found"
    title = "No such computed trait"
    status = HTTPStatus.NOT_FOUND


class ComputedTraitInUse(Problem):
    """A segment, stage or rule reads this computed trait; change or delete that first."""

    type = "/problems/computed-trait-in-use"
    title = "The computed trait is in use"
    status = HTTPStatus.CONFLICT


class ComputedTraitNameTaken(Problem):
    """Computed traits and predictions of a workspace never share a name."""

    type = "/problems/computed-trait-name-taken"
    title = "A computed trait with this name exists"
    status = HTTPStatus.CONFLICT


class TooManyComputedTraits(Problem):
    """The workspace has as many computed traits as one may have; delete one first."""

    type = "/problems/too-many-computed-traits"
    title = "No more computed traits can be made"
    status = HTTPStatus.CONFLICT


class AccountNotFound(Problem):
    """No account of this workspace has this id."""

    type = "/problems/account-not-found"
    title = "No such account"
    status = HTTPStatus.NOT_FOUND


class AccountExists(Problem):
    """An account with this `group_id` is known already; `account_id` names it."""

    type = "/problems/account-exists"
    title = "The account exists"
    status = HTTPStatus.CONFLICT


class AccountMemberNotFound(Problem):
    """The person is not in this account, now."""

    type = "/problems/account-member-not-found"
    title = "No such member of the account"
    status = HTTPStatus.NOT_FOUND


class AccountSegmentNotFound(Problem):
    """No segment of accounts of this workspace has this id."""

    type = "/problems/account-segment-not-found"
    title = "No such segment of accounts"
    status = HTTPStatus.NOT_FOUND


class AccountSegmentNameTaken(Problem):
    """Two segments of accounts of a workspace never share a name."""

    type = "/problems/account-segment-name-taken"
    title = "A segment of accounts with this name exists"
    status = HTTPStatus.CONFLICT


class TraitDefinitionNotFound(Problem):
    """No trait of this workspace is registered under this name."""

    type = "/problems/trait-definition-not-found"
    title = "The trait is not registered"
    status = HTTPStatus.NOT_FOUND


class ErasureNotFound(Problem):
    """No erasure of this workspace has this id."""

    type = "/problems/erasure-not-found"
    title = "No such erasure"
    status = HTTPStatus.NOT_FOUND


class ProfileExportNotFound(Problem):
    """No export of this workspace has this id; they are deleted after seven days, and when the
    person is erased."""

    type = "/problems/profile-export-not-found"
    title = "No such export of a profile"
    status = HTTPStatus.NOT_FOUND


class ProfileExportNotReady(Problem):
    """The file is being made; read the export until its `state` is `ready`."""

    type = "/problems/profile-export-not-ready"
    title = "The export is not ready"
    status = HTTPStatus.CONFLICT


class TooManyTraitDefinitions(Problem):
    """A workspace registers a bounded number of traits; delete some that are not used."""

    type = "/problems/too-many-trait-definitions"
    title = "No more traits can be registered"
    status = HTTPStatus.CONFLICT


class MergeNotFound(Problem):
    """No merge of this workspace has this id."""

    type = "/problems/merge-not-found"
    title = "No such merge"
    status = HTTPStatus.NOT_FOUND


class ProfilesAreOne(Problem):
    """Both ids stand for the same person already: one is the other's, or was merged into it."""

    type = "/problems/profiles-are-one"
    title = "The two profiles are one already"
    status = HTTPStatus.CONFLICT


class MergeTooLarge(Problem):
    """A person is made of at most 100 merges and 1,000 identifiers; nothing was changed."""

    type = "/problems/merge-too-large"
    title = "The merged profile would be too large"
    status = HTTPStatus.CONFLICT


class MergeUndone(Problem):
    """The merge was undone before; its two sides are profiles of their own or merged anew."""

    type = "/problems/merge-undone"
    title = "The merge is undone already"
    status = HTTPStatus.CONFLICT


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
