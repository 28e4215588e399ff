"""The journeys the engine runs, compiled once per version."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.journeys.compiled import Compiled, compile_graph
from services.orchestrator.journeys.graph import Graph
from services.orchestrator.journeys.store import running_versions, version_graphs


@dataclass
class Running:
    """A journey that is live or paused, with the version new people enter."""

    journey_id: UUID
    state: str
    compiled: Compiled


@dataclass(frozen=True, slots=True)
class Heard:
    """What the versions that have people in them, or let people in, look for."""

    events: frozenset[str]
    """Names of events that some wait, goal or exit rule looks for."""
    lasting: frozenset[str]
    """Those of them that count for people who left, too."""
    rules: frozenset[UUID]
    """Ids of the rules whose coming true moves people."""


@dataclass
class Library:
    """Versions never change, so what was compiled stays right for ever."""

    _compiled: dict[UUID, Compiled] = field(default_factory=dict)

    async def running(self, session: AsyncSession) -> tuple[list[Running], Heard]:
        """The running journeys, and what all their versions look for."""
        rows = await running_versions(session)
        await self.load(session, (row.version_id for row in rows))
        running = [
            Running(row.journey_id, row.state, self._compiled[row.version_id])
            for row in rows
            if row.is_live_version
        ]
        versions = [self._compiled[row.version_id] for row in rows]
        heard = Heard(
            frozenset().union(*(each.awaited | each.ending for each in versions)),
            frozenset().union(*(each.lasting for each in versions)),
            frozenset().union(*(each.watched for each in versions)),
        )
        return running, heard

    async def load(
        self, session: AsyncSession, version_ids: Iterable[UUID]
    ) -> dict[UUID, Compiled]:
        """The compiled versions by id."""
        wanted = set(version_ids)
        unknown = wanted - self._compiled.keys()
        if unknown:
            for version_id, graph in await version_graphs(session, unknown):
                compiled = compile_graph(version_id, Graph.model_validate(graph))
                self._compiled[version_id] = compiled
        return {version_id: self._compiled[version_id] for version_id in wanted}
