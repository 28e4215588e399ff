"""Which arm of a split a person goes: by a stable hash, never by a coin. Pure."""

from collections.abc import Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from services.rules.bucket import BUCKETS, bucket


class Weighted(Protocol):
    @property
    def weight(self) -> int:
        """Its share of the sum of all weights."""


Arm = TypeVar("Arm", bound=Weighted)


def arm_of(arms: Sequence[Arm], salt: str, profile_id: UUID) -> Arm:
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
