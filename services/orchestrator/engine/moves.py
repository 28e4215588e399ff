"""Takes people of superseded versions along into the newest one, before their next step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.engine.library import Library
from services.orchestrator.engine.participants import Participant, Traces
from services.orchestrator.journeys import moving
from services.orchestrator.journeys import store as journeys
from services.orchestrator.journeys.compiled import Compiled
from services.orchestrator.journeys.moving import Move
from services.orchestrator.journeys.position import Step
from services.orchestrator.journeys.step import Known


@dataclass(frozen=True, slots=True)
class Moves:
    """The ways from superseded versions, over each one between, to the newest."""

    _next: Mapping[UUID, tuple[UUID, Move]]
    graphs: Mapping[UUID, Compiled]
    """All versions concerned, those that were not superseded too."""

    def target(self, version_id: UUID) -> UUID:
        """The version in which the next step is taken."""
        while version_id in self._next:
            version_id = self._next[version_id][0]
        return version_id

    def concern(self, participant: Participant) -> bool:
        return participant.version_id in self._next

    def apply(
        self, participant: Participant, known: Known | None, traces: Traces, now: int
    ) -> None:
        """Into the newest version, or out of the journey."""
        while participant.position.state != "exited" and self.concern(participant):
            version_id, plan = self._next[participant.version_id]
            old, new = self.graphs[participant.version_id], self.graphs[version_id]
            moved = moving.move(old, new, plan, participant.position, now)
            if isinstance(moved, Step):
                traces.record(participant, moved)
                return
            traces.transfer(participant, version_id, moved)
            further = moving.listen_anew(old, new, moved, known or Known(), now)
            if further is not None:
                traces.record(participant, further)


async def load(session: AsyncSession, library: Library, block: Sequence[Participant]) -> Moves:
    """What the block needs of versions."""
    found: dict[UUID, tuple[UUID, Move]] = {}
    asked = {each.version_id for each in block}
    every = set(asked)
    while asked:
        more = await journeys.successors(session, asked)
        found |= more
        asked = {version for version, _ in more.values()} - every
        every |= asked
    return Moves(found, await library.load(session, every))
