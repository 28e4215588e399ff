"""What steps need of experiments: how they choose, and what people were shown before."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.engine.participants import Participant
from services.orchestrator.experiments import store
from services.orchestrator.experiments.choice import Trial
from services.orchestrator.journeys.compiled import Compiled
from services.orchestrator.journeys.step import Known

NONE: Mapping[UUID, str] = {}


@dataclass(frozen=True, slots=True)
class Trials:
    _trials: Mapping[UUID, Trial]
    _exposed: Mapping[UUID, Mapping[UUID, str]]

    def known_to(self, participant: Participant, known: Known) -> Known:
        """``known`` with what experiments need."""
        if not self._trials:
            return known
        exposed = self._exposed.get(participant.profile_id, NONE)
        return replace(known, trials=self._trials, exposed=exposed)


async def load(
    session: AsyncSession, graphs: Iterable[Compiled], block: Sequence[Participant]
) -> Trials:
    """Of the people of a block, whose rows are locked."""
    wanted = {each for compiled in graphs for each in compiled.experiment_ids}
    people = {participant.profile_id for participant in block}
    return Trials(await store.trials(session, wanted), await store.exposed(session, wanted, people))
