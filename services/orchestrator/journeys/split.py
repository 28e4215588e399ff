"""Which arm of a split a person goes: by a stable hash, never by a coin. Pure."""

from collections.abc import Sequence
from uuid import UUID

from services.orchestrator.journeys.nodes import SplitArm
from services.rules.bucket import BUCKETS, bucket


def arm_of(arms: Sequence[SplitArm], salt: str, profile_id: UUID) -> SplitArm:
    """The arm in whose share of the buckets the person falls (semantics SP-1).

    The same in every process and release. Where weights change, only people at the borders of the
    shares change sides.
    """
    whole = sum(arm.weight for arm in arms)
    place = bucket(salt, str(profile_id)) * whole
    reached = 0
    for arm in arms:
        reached += arm.weight * BUCKETS
        if place < reached:
            return arm
    raise AssertionError("the shares make up the whole")
