"""Which variant of an experiment somebody gets. Pure."""

from dataclasses import dataclass, replace
from uuid import UUID

from services.orchestrator.journeys.split import arm_of


@dataclass(frozen=True, slots=True)
class Arm:
    id: str
    weight: int


@dataclass(frozen=True, slots=True)
class Choice:
    variant: str
    probability: float
    chooser: str
    counts: bool
    """Whether it is an exposure: the person's first, while the experiment runs."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What choosing needs of an experiment."""

    salt: str
    arms: tuple[Arm, ...]
    state: str
    settled: str
    """Everybody's variant before the start and after the stop."""

    def started(self) -> "Trial":
        """As it will be once it runs, for replays of what is not started yet."""
        return replace(self, state="running") if self.state == "draft" else self

    def choose(self, profile_id: UUID, exposed: str | None) -> Choice:
        """``exposed``: the variant the person was shown before, which stands while it runs."""
        if self.state != "running":
            return Choice(self.settled, 1.0, "settled", counts=False)
        if exposed is not None:
            return Choice(exposed, 1.0, "exposed", counts=False)
        arm = arm_of(self.arms, self.salt, profile_id)
        whole = sum(each.weight for each in self.arms)
        return Choice(arm.id, arm.weight / whole, "hash", counts=True)
