"""SQL of experiments and exposures."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.engine.participants import Participant
from services.orchestrator.experiments.choice import Arm, Trial
from services.orchestrator.experiments.tables import ExperimentRow, ExposureRow
from services.orchestrator.journeys.effects import Exposed
from services.orchestrator.times import from_ms

_COLUMNS = (
    ExperimentRow.id,
    ExperimentRow.state,
    ExperimentRow.spec,
    ExperimentRow.decision,
    ExperimentRow.created_at,
    ExperimentRow.started_at,
    ExperimentRow.stopped_at,
)

_NAME = func.jsonb_extract_path_text(ExperimentRow.spec, "name")


async def add(
    session: AsyncSession, workspace_id: UUID, experiment_id: UUID, spec: dict[str, Any]
) -> None:
    """An earlier call with the same id stands."""
    values = {"id": experiment_id, "workspace_id": workspace_id, "state": "draft", "spec": spec}
    await session.execute(
        insert(ExperimentRow).values(values).on_conflict_do_nothing(index_elements=["id"])
    )


async def find(
    session: AsyncSession, experiment_id: UUID, *, lock: bool = False
) -> Row[Any] | None:
    statement = select(*_COLUMNS).where(ExperimentRow.id == experiment_id)
    statement = statement.with_for_update() if lock else statement
    return (await session.execute(statement)).one_or_none()


async def page(
    session: AsyncSession, after: UUID | None, limit: int, state: str | None
) -> Sequence[Row[Any]]:
    """Newest first."""
    statement = select(*_COLUMNS)
    if after is not None:
        statement = statement.where(ExperimentRow.id < after)
    if state is not None:
        statement = statement.where(ExperimentRow.state == state)
    rows = await session.execute(statement.order_by(ExperimentRow.id.desc()).limit(limit))
    return rows.all()


async def change(session: AsyncSession, experiment_id: UUID, **values: Any) -> None:
    await session.execute(
        update(ExperimentRow).where(ExperimentRow.id == experiment_id).values(**values)
    )


async def start(session: AsyncSession, experiment_id: UUID, now: int) -> None:
    await change(session, experiment_id, state="running", started_at=from_ms(now))


async def stop(
    session: AsyncSession, experiment_id: UUID, decision: dict[str, Any], now: int
) -> None:
    ended = {"state": "stopped", "decision": decision, "stopped_at": from_ms(now)}
    await change(session, experiment_id, **ended)


async def published_in(session: AsyncSession, experiment_id: UUID) -> bool:
    """Whether some published version of a journey divides people by it."""
    found = await session.scalar(
        text(
            "SELECT EXISTS (SELECT FROM journey_version WHERE graph @> jsonb_build_object('nodes', "
            "jsonb_build_array(jsonb_build_object('experiment_id', CAST(:id AS text)))))"
        ),
        {"id": str(experiment_id)},
    )
    return bool(found)


async def variants(
    session: AsyncSession, experiment_ids: Collection[UUID]
) -> dict[UUID, list[str]]:
    """Ids of the variants, by experiment. They stay as they are until the transaction ends."""
    if not experiment_ids:
        return {}
    rows = await session.execute(
        select(ExperimentRow.id, ExperimentRow.spec)
        .where(ExperimentRow.id.in_(experiment_ids))
        .with_for_update(read=True)
    )
    return {row.id: [each["id"] for each in row.spec["variants"]] for row in rows}


async def names(session: AsyncSession, experiment_ids: Collection[UUID]) -> dict[UUID, str]:
    """Name by id."""
    statement = select(ExperimentRow.id, _NAME.label("name"))
    rows = await session.execute(statement.where(ExperimentRow.id.in_(experiment_ids)))
    return {row.id: row.name for row in rows}


async def named(session: AsyncSession, names: Collection[str]) -> list[tuple[str, UUID]]:
    """Those of these names; a name may be there more than once."""
    statement = select(_NAME.label("name"), ExperimentRow.id).where(_NAME.in_(names))
    return [(row.name, row.id) for row in await session.execute(statement)]


async def trials(session: AsyncSession, experiment_ids: Collection[UUID]) -> dict[UUID, Trial]:
    """What choosing needs, by experiment."""
    if not experiment_ids:
        return {}
    rows = await session.execute(
        select(ExperimentRow.id, ExperimentRow.state, ExperimentRow.spec, ExperimentRow.decision)
        .where(ExperimentRow.id.in_(experiment_ids))
        .order_by(ExperimentRow.id)
    )
    return {row.id: _trial(row) for row in rows}


def _trial(row: Row[Any]) -> Trial:
    spec = row.spec
    return Trial(
        salt=spec["salt"] or str(row.id),
        arms=tuple(Arm(each["id"], each["weight"]) for each in spec["variants"]),
        state=row.state,
        settled=row.decision["variant"] if row.decision else spec["fallback"],
    )


async def exposed(
    session: AsyncSession, experiment_ids: Collection[UUID], profile_ids: Collection[UUID]
) -> dict[UUID, dict[UUID, str]]:
    """The variants these people were shown before, by person and experiment."""
    found: dict[UUID, dict[UUID, str]] = {}
    if not experiment_ids:
        return found
    rows = await session.execute(
        select(ExposureRow.profile_id, ExposureRow.experiment_id, ExposureRow.variant).where(
            ExposureRow.experiment_id.in_(experiment_ids), ExposureRow.profile_id.in_(profile_ids)
        )
    )
    for row in rows:
        found.setdefault(row.profile_id, {})[row.experiment_id] = row.variant
    return found


async def expose(
    session: AsyncSession, workspace_id: UUID, shown: Sequence[tuple[Participant, Exposed]]
) -> set[tuple[UUID, UUID]]:
    """(experiment, person) of those shown a variant for the first time: only that is kept."""
    if not shown:
        return set()
    # In one order everywhere: two blocks with the same people must not deadlock.
    shown = sorted(shown, key=lambda e: (e[1].experiment_id, e[0].profile_id, e[1].at))
    rows = await session.execute(
        text(
            """
            INSERT INTO exposure (workspace_id, experiment_id, profile_id, participant_id,
                journey_id, version_id, variant, probability, chooser, at, mixed)
            SELECT :ws, *, false FROM unnest(CAST(:experiments AS uuid[]),
                CAST(:profiles AS uuid[]), CAST(:participants AS uuid[]),
                CAST(:journeys AS uuid[]), CAST(:versions AS uuid[]), CAST(:variants AS text[]),
                CAST(:probabilities AS float8[]), CAST(:choosers AS text[]),
                CAST(:times AS timestamptz[]))
            ON CONFLICT DO NOTHING RETURNING experiment_id, profile_id
            """
        ),
        {
            "ws": workspace_id,
            "experiments": [each.experiment_id for _, each in shown],
            "profiles": [who.profile_id for who, _ in shown],
            "participants": [who.id for who, _ in shown],
            "journeys": [who.journey_id for who, _ in shown],
            "versions": [who.version_id for who, _ in shown],
            "variants": [each.variant for _, each in shown],
            "probabilities": [each.probability for _, each in shown],
            "choosers": [each.chooser for _, each in shown],
            "times": [from_ms(each.at) for _, each in shown],
        },
    )
    return {(row.experiment_id, row.profile_id) for row in rows}
